CREATE SCHEMA IF NOT EXISTS leftoff;
CREATE TABLE leftoff.journal (
  format integer NOT NULL, id text NOT NULL, created text NOT NULL, sum bigint NOT NULL);
CREATE TABLE leftoff.run (
  run integer PRIMARY KEY, name text COLLATE "C" NOT NULL UNIQUE, epoch bigint NOT NULL, seq bigint NOT NULL,
  sum bigint NOT NULL, mark bigint NOT NULL, done bigint NOT NULL, dead bigint NOT NULL,
  superseded bigint NOT NULL, row_sum bigint NOT NULL) WITH (fillfactor = 50);
CREATE TABLE leftoff.entry (
  seq bigint NOT NULL, run integer NOT NULL, epoch bigint NOT NULL, at bigint NOT NULL,
  kind text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, value text, value_sum bigint NOT NULL,
  prev bigint NOT NULL, sum bigint NOT NULL, PRIMARY KEY (run, seq));
CREATE SEQUENCE leftoff.seq;
CREATE INDEX fate ON leftoff.entry (run, left(key, 600), seq) WHERE (kind = 'done' OR kind = 'dead' OR kind = 'forgotten' OR kind = 'retried');
CREATE INDEX named ON leftoff.entry (run, kind, left(key, 600), seq) WHERE (kind = 'created' OR kind = 'owner' OR kind = 'step' OR kind = 'cursor' OR kind = 'pass' OR kind = 'dead');
INSERT INTO leftoff.journal VALUES (1, 'db1e2c7a578a8f99', '2026-11-26T00:20:51Z', 3606506276);
INSERT INTO leftoff.run VALUES (1, 'papers', 2, 70, 129075012, 1, 7, 1, 2, 3125968382);
INSERT INTO leftoff.run VALUES (2, 'batched ü', 1, 57, 3560297509, 29, 12, 0, 0, 3223573454);
INSERT INTO leftoff.entry VALUES (1, 1, 1, 1795652451638, 'created', '', '{"id":"de27f9a504d2e8a9","program":null,"parent":null}', 1298095668, 4206074170, 3200630086);
INSERT INTO leftoff.entry VALUES (2, 1, 1, 1795652451638, 'owner', '', '{"host":"vm","pid":20210,"start":"2026-11-26T00:20:51Z","durability":"power"}', 2220670597, 3200630086, 3496947195);
INSERT INTO leftoff.entry VALUES (3, 1, 1, 1795652451647, 'step', 'build-index ["v2"]', '{"version":"v2"}', 716423322, 3496947195, 2659945678);
INSERT INTO leftoff.entry VALUES (4, 1, 1, 1795652451663, 'started', 'plain', NULL, 0, 2659945678, 3871942705);
INSERT INTO leftoff.entry VALUES (5, 1, 1, 1795652451667, 'done', 'plain', NULL, 0, 3871942705, 4104974304);
INSERT INTO leftoff.entry VALUES (6, 1, 1, 1795652451677, 'started', 'bytes', NULL, 0, 4104974304, 3272599668);
INSERT INTO leftoff.entry VALUES (7, 1, 1, 1795652451682, 'done', 'bytes', '{"$bytes":"AP8="}', 1300339646, 3272599668, 1713431493);
INSERT INTO leftoff.entry VALUES (8, 1, 1, 1795652451695, 'started', 'ünïcode 😀', NULL, 0, 1713431493, 1730409111);
INSERT INTO leftoff.entry VALUES (9, 1, 1, 1795652451704, 'done', 'ünïcode 😀', '{"$$x":["ü",1.5]}', 2068034353, 1730409111, 3870262032);
INSERT INTO leftoff.entry VALUES (10, 1, 1, 1795652451709, 'started', 'always fails', NULL, 0, 3870262032, 3031696774);
INSERT INTO leftoff.entry VALUES (11, 1, 1, 1795652451721, 'dead', 'always fails',  E'{"tries":{"errors":1,"crashes":0},"error":{"type":"ValueError","message":"no such paper","traceback":"Traceback (most recent call last):\\n  File \\"/work/wt/machine/src/leftoff/work/map.py\\", line 91, in _work\\n    value = how.function(item)\\n            ^^^^^^^^^^^^^^^^^^\\n  File \\"/work/wt/machine/tests/data/format-1/../make.py\\", line 23, in work\\n    raise ValueError(\\"no such paper\\")\\nValueError: no such paper\\n"}}', 2832308325, 3031696774, 2347645188);
INSERT INTO leftoff.entry VALUES (12, 1, 1, 1795652451760, 'pass', '', '{"total":4,"done":3,"dead":1,"missing":0,"duplicates":0,"resumed":0,"repeated":0,"known_done":3,"known_dead":1}', 3057821970, 2347645188, 173068324);
INSERT INTO leftoff.entry VALUES (13, 1, 1, 1795652451781, 'started', 'line
break', NULL, 0, 173068324, 400193993);
INSERT INTO leftoff.entry VALUES (14, 1, 1, 1795652451783, 'cursor', 'since',  E'"2026-02 line\\nbreak"', 577241554, 400193993, 3060711881);
INSERT INTO leftoff.entry VALUES (15, 1, 1, 1795652451783, 'done', 'line
break', NULL, 0, 3060711881, 584758560);
INSERT INTO leftoff.entry VALUES (16, 1, 1, 1795652451797, 'started', 'forgotten', NULL, 0, 584758560, 922018867);
INSERT INTO leftoff.entry VALUES (17, 1, 1, 1795652451802, 'cursor', 'since', '"2026-02 forgotten"', 3533657708, 922018867, 2095379145);
INSERT INTO leftoff.entry VALUES (18, 1, 1, 1795652451802, 'done', 'forgotten', NULL, 0, 2095379145, 1210429755);
INSERT INTO leftoff.entry VALUES (19, 1, 1, 1795652451817, 'pass', '', '{"total":2,"done":2,"dead":0,"missing":0,"duplicates":0,"resumed":0,"repeated":0,"known_done":5,"known_dead":1}', 439090656, 1210429755, 2595661374);
INSERT INTO leftoff.entry VALUES (20, 1, 1, 1795652451833, 'forgotten', 'forgotten', NULL, 0, 2595661374, 2707213372);
INSERT INTO leftoff.entry VALUES (21, 1, 1, 1795652451860, 'retried', 'always fails', NULL, 0, 2707213372, 2889438882);
INSERT INTO leftoff.entry VALUES (22, 1, 1, 1795652451870, 'started', 'always fails', NULL, 0, 2889438882, 3860685888);
INSERT INTO leftoff.entry VALUES (23, 1, 1, 1795652451871, 'dead', 'always fails',  E'{"tries":{"errors":1,"crashes":0},"error":{"type":"ValueError","message":"no such paper","traceback":"Traceback (most recent call last):\\n  File \\"/work/wt/machine/src/leftoff/work/map.py\\", line 91, in _work\\n    value = how.function(item)\\n            ^^^^^^^^^^^^^^^^^^\\n  File \\"/work/wt/machine/tests/data/format-1/../make.py\\", line 23, in work\\n    raise ValueError(\\"no such paper\\")\\nValueError: no such paper\\n"}}', 2832308325, 3860685888, 2563680561);
INSERT INTO leftoff.entry VALUES (24, 1, 1, 1795652451875, 'started', 'more', NULL, 0, 2563680561, 2286266055);
INSERT INTO leftoff.entry VALUES (25, 1, 1, 1795652451879, 'done', 'more', '{"key":"more"}', 2631747775, 2286266055, 3159315498);
INSERT INTO leftoff.entry VALUES (26, 1, 1, 1795652451889, 'pass', '', '{"total":2,"done":1,"dead":1,"missing":0,"duplicates":0,"resumed":0,"repeated":0,"known_done":5,"known_dead":1}', 2994369284, 3159315498, 3028396832);
INSERT INTO leftoff.entry VALUES (27, 1, 1, 1795652451976, 'started', 'given back', NULL, 0, 3028396832, 1117156608);
INSERT INTO leftoff.entry VALUES (28, 1, 1, 1795652451982, 'released', 'given back', '{"tries":{"errors":0,"crashes":0}}', 3086990794, 1117156608, 618064734);
INSERT INTO leftoff.entry VALUES (29, 2, 1, 1795652451912, 'created', '', '{"id":"66446b0c0fc3bfd3","program":null,"parent":null}', 141121512, 4206074170, 3356193515);
INSERT INTO leftoff.entry VALUES (30, 2, 1, 1795652451912, 'owner', '', '{"host":"vm","pid":20210,"start":"2026-11-26T00:20:51Z","durability":"power"}', 2220670597, 3356193515, 2099182060);
INSERT INTO leftoff.entry VALUES (33, 2, 1, 1795652451927, 'started', '0', NULL, 0, 2099182060, 204322968);
INSERT INTO leftoff.entry VALUES (34, 2, 1, 1795652451927, 'started', '1', NULL, 0, 204322968, 3782068028);
INSERT INTO leftoff.entry VALUES (35, 2, 1, 1795652451927, 'started', '2', NULL, 0, 3782068028, 2706730183);
INSERT INTO leftoff.entry VALUES (36, 2, 1, 1795652451927, 'started', '3', NULL, 0, 2706730183, 4117516496);
INSERT INTO leftoff.entry VALUES (37, 2, 1, 1795652451931, 'done', '0', NULL, 0, 4117516496, 2466077162);
INSERT INTO leftoff.entry VALUES (38, 2, 1, 1795652451931, 'done', '1', NULL, 0, 2466077162, 3854552413);
INSERT INTO leftoff.entry VALUES (39, 2, 1, 1795652451931, 'done', '2', NULL, 0, 3854552413, 3011266008);
INSERT INTO leftoff.entry VALUES (40, 2, 1, 1795652451931, 'done', '3', NULL, 0, 3011266008, 3926589026);
INSERT INTO leftoff.entry VALUES (41, 2, 1, 1795652451935, 'started', '4', NULL, 0, 3926589026, 600665259);
INSERT INTO leftoff.entry VALUES (42, 2, 1, 1795652451935, 'started', '5', NULL, 0, 600665259, 3983235446);
INSERT INTO leftoff.entry VALUES (43, 2, 1, 1795652451935, 'started', '6', NULL, 0, 3983235446, 3133881292);
INSERT INTO leftoff.entry VALUES (44, 2, 1, 1795652451935, 'started', '7', NULL, 0, 3133881292, 882227111);
INSERT INTO leftoff.entry VALUES (45, 2, 1, 1795652451945, 'done', '4', NULL, 0, 882227111, 377562723);
INSERT INTO leftoff.entry VALUES (46, 2, 1, 1795652451945, 'done', '5', NULL, 0, 377562723, 3395004921);
INSERT INTO leftoff.entry VALUES (47, 2, 1, 1795652451945, 'done', '6', NULL, 0, 3395004921, 3159222329);
INSERT INTO leftoff.entry VALUES (48, 2, 1, 1795652451945, 'done', '7', NULL, 0, 3159222329, 156999161);
INSERT INTO leftoff.entry VALUES (49, 2, 1, 1795652451956, 'started', '8', NULL, 0, 156999161, 1646224631);
INSERT INTO leftoff.entry VALUES (50, 2, 1, 1795652451956, 'started', '9', NULL, 0, 1646224631, 4102315180);
INSERT INTO leftoff.entry VALUES (51, 2, 1, 1795652451956, 'started', '10', NULL, 0, 4102315180, 3039859848);
INSERT INTO leftoff.entry VALUES (52, 2, 1, 1795652451956, 'started', '11', NULL, 0, 3039859848, 742604800);
INSERT INTO leftoff.entry VALUES (53, 2, 1, 1795652451960, 'done', '8', NULL, 0, 742604800, 2978386996);
INSERT INTO leftoff.entry VALUES (54, 2, 1, 1795652451960, 'done', '9', NULL, 0, 2978386996, 1017662970);
INSERT INTO leftoff.entry VALUES (55, 2, 1, 1795652451960, 'done', '10', NULL, 0, 1017662970, 657592497);
INSERT INTO leftoff.entry VALUES (56, 2, 1, 1795652451960, 'done', '11', NULL, 0, 657592497, 467686912);
INSERT INTO leftoff.entry VALUES (57, 2, 1, 1795652451967, 'pass', '', '{"total":12,"done":12,"dead":0,"missing":0,"duplicates":0,"resumed":0,"repeated":0,"known_done":12,"known_dead":0}', 592489025, 467686912, 3560297509);
INSERT INTO leftoff.entry VALUES (64, 1, 2, 1795652452058, 'owner', '', '{"host":"vm","pid":20429,"start":"2026-11-26T00:20:52Z","durability":"power"}', 2520994066, 618064734, 4289846778);
INSERT INTO leftoff.entry VALUES (65, 1, 2, 1795652452070, 'started', 'x', NULL, 0, 4289846778, 2092678113);
INSERT INTO leftoff.entry VALUES (67, 1, 2, 1795652452083, 'done', 'x', NULL, 0, 2092678113, 2663970319);
INSERT INTO leftoff.entry VALUES (68, 1, 2, 1795652452083, 'started', 'y', NULL, 0, 2663970319, 3080644961);
INSERT INTO leftoff.entry VALUES (69, 1, 2, 1795652452092, 'done', 'y', NULL, 0, 3080644961, 3590114315);
INSERT INTO leftoff.entry VALUES (70, 1, 2, 1795652452092, 'started', 'z', NULL, 0, 3590114315, 129075012);
SELECT setval('leftoff.seq', 72);
