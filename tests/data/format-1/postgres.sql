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
INSERT INTO leftoff.journal VALUES (1, 'ed90811a2547cff6', '2026-11-26T15:50:26Z', 2017004090);
INSERT INTO leftoff.run VALUES (1, 'papers', 2, 71, 433470256, 1, 7, 1, 2, 3123667543);
INSERT INTO leftoff.run VALUES (2, 'batched ü', 1, 58, 2431931533, 30, 12, 0, 0, 960664009);
INSERT INTO leftoff.entry VALUES (1, 1, 1, 1795708226584, 'created', '', '{"id":"fdb7cf8f687fbc28","program":null,"parent":null}', 1010079231, 2055048263, 3146227757);
INSERT INTO leftoff.entry VALUES (2, 1, 1, 1795708226584, 'owner', '', '{"host":"vm","pid":7192,"start":"2026-11-26T15:50:26Z","durability":"power"}', 2944506075, 3146227757, 1563724048);
INSERT INTO leftoff.entry VALUES (3, 1, 1, 1795708226586, 'step', 'build-index ["v2"]', '{"version":"v2"}', 716423322, 1563724048, 2681916112);
INSERT INTO leftoff.entry VALUES (4, 1, 1, 1795708226592, 'version', '', '{"id":"d69edb68ab2c","since":1,"parts":{"make.fill.<locals>.work":"4c76fae8"},"before":[]}', 1747154361, 2681916112, 3457739347);
INSERT INTO leftoff.entry VALUES (5, 1, 1, 1795708226597, 'started', 'plain', NULL, 0, 3457739347, 300803323);
INSERT INTO leftoff.entry VALUES (6, 1, 1, 1795708226598, 'done', 'plain', NULL, 0, 300803323, 3072879784);
INSERT INTO leftoff.entry VALUES (7, 1, 1, 1795708226599, 'started', 'bytes', NULL, 0, 3072879784, 131886737);
INSERT INTO leftoff.entry VALUES (8, 1, 1, 1795708226599, 'done', 'bytes', '{"$bytes":"AP8="}', 1300339646, 131886737, 591186553);
INSERT INTO leftoff.entry VALUES (9, 1, 1, 1795708226600, 'started', 'ünïcode 😀', NULL, 0, 591186553, 428364885);
INSERT INTO leftoff.entry VALUES (10, 1, 1, 1795708226601, 'done', 'ünïcode 😀', '{"$$x":["ü",1.5]}', 2068034353, 428364885, 3520069847);
INSERT INTO leftoff.entry VALUES (11, 1, 1, 1795708226602, 'started', 'always fails', NULL, 0, 3520069847, 982343025);
INSERT INTO leftoff.entry VALUES (12, 1, 1, 1795708226603, 'dead', 'always fails',  E'{"tries":{"errors":1,"crashes":0},"error":{"type":"ValueError","message":"no such paper","traceback":"Traceback (most recent call last):\\n  File \\"/work/wt/next/src/leftoff/work/map.py\\", line 80, in _work\\n    value = attempts.call(item)\\n            ^^^^^^^^^^^^^^^^^^^\\n  File \\"/work/wt/next/src/leftoff/work/attempt.py\\", line 83, in call\\n    return self.function(item)\\n           ^^^^^^^^^^^^^^^^^^^\\n  File \\"/work/wt/next/tests/data/make.py\\", line 23, in work\\n    raise ValueError(\\"no such paper\\")\\nValueError: no such paper\\n"}}', 1445537174, 982343025, 4031840434);
INSERT INTO leftoff.entry VALUES (13, 1, 1, 1795708226605, 'pass', '', '{"total":4,"done":3,"dead":1,"missing":0,"duplicates":0,"resumed":0,"repeated":0,"known_done":3,"known_dead":1}', 3057821970, 4031840434, 432585979);
INSERT INTO leftoff.entry VALUES (14, 1, 1, 1795708226609, 'started', 'line
break', NULL, 0, 432585979, 2553077482);
INSERT INTO leftoff.entry VALUES (15, 1, 1, 1795708226610, 'cursor', 'since',  E'"2026-02 line\\nbreak"', 577241554, 2553077482, 2021007764);
INSERT INTO leftoff.entry VALUES (16, 1, 1, 1795708226610, 'done', 'line
break', NULL, 0, 2021007764, 1046468013);
INSERT INTO leftoff.entry VALUES (17, 1, 1, 1795708226611, 'started', 'forgotten', NULL, 0, 1046468013, 3671431998);
INSERT INTO leftoff.entry VALUES (18, 1, 1, 1795708226612, 'cursor', 'since', '"2026-02 forgotten"', 3533657708, 3671431998, 2912278789);
INSERT INTO leftoff.entry VALUES (19, 1, 1, 1795708226612, 'done', 'forgotten', NULL, 0, 2912278789, 2437263151);
INSERT INTO leftoff.entry VALUES (20, 1, 1, 1795708226614, 'pass', '', '{"total":2,"done":2,"dead":0,"missing":0,"duplicates":0,"resumed":0,"repeated":0,"known_done":5,"known_dead":1}', 439090656, 2437263151, 26035670);
INSERT INTO leftoff.entry VALUES (21, 1, 1, 1795708226616, 'forgotten', 'forgotten', NULL, 0, 26035670, 1741598089);
INSERT INTO leftoff.entry VALUES (22, 1, 1, 1795708226617, 'retried', 'always fails', NULL, 0, 1741598089, 3980146263);
INSERT INTO leftoff.entry VALUES (23, 1, 1, 1795708226623, 'started', 'always fails', NULL, 0, 3980146263, 2255104963);
INSERT INTO leftoff.entry VALUES (24, 1, 1, 1795708226624, 'dead', 'always fails',  E'{"tries":{"errors":1,"crashes":0},"error":{"type":"ValueError","message":"no such paper","traceback":"Traceback (most recent call last):\\n  File \\"/work/wt/next/src/leftoff/work/map.py\\", line 80, in _work\\n    value = attempts.call(item)\\n            ^^^^^^^^^^^^^^^^^^^\\n  File \\"/work/wt/next/src/leftoff/work/attempt.py\\", line 83, in call\\n    return self.function(item)\\n           ^^^^^^^^^^^^^^^^^^^\\n  File \\"/work/wt/next/tests/data/make.py\\", line 23, in work\\n    raise ValueError(\\"no such paper\\")\\nValueError: no such paper\\n"}}', 1445537174, 2255104963, 3845146589);
INSERT INTO leftoff.entry VALUES (25, 1, 1, 1795708226625, 'started', 'more', NULL, 0, 3845146589, 1190957227);
INSERT INTO leftoff.entry VALUES (26, 1, 1, 1795708226626, 'done', 'more', '{"key":"more"}', 2631747775, 1190957227, 3450275852);
INSERT INTO leftoff.entry VALUES (27, 1, 1, 1795708226628, 'pass', '', '{"total":2,"done":1,"dead":1,"missing":0,"duplicates":0,"resumed":0,"repeated":0,"known_done":5,"known_dead":1}', 2994369284, 3450275852, 1822629217);
INSERT INTO leftoff.entry VALUES (28, 1, 1, 1795708226651, 'started', 'given back', NULL, 0, 1822629217, 3939397076);
INSERT INTO leftoff.entry VALUES (29, 1, 1, 1795708226652, 'released', 'given back', '{"tries":{"errors":0,"crashes":0}}', 3086990794, 3939397076, 408720257);
INSERT INTO leftoff.entry VALUES (30, 2, 1, 1795708226639, 'created', '', '{"id":"d528d8185b5bbf15","program":null,"parent":null}', 1060987996, 2055048263, 1664018907);
INSERT INTO leftoff.entry VALUES (31, 2, 1, 1795708226639, 'owner', '', '{"host":"vm","pid":7192,"start":"2026-11-26T15:50:26Z","durability":"power"}', 2944506075, 1664018907, 4029763404);
INSERT INTO leftoff.entry VALUES (34, 2, 1, 1795708226643, 'started', '0', NULL, 0, 4029763404, 1217086481);
INSERT INTO leftoff.entry VALUES (35, 2, 1, 1795708226643, 'started', '1', NULL, 0, 1217086481, 2912044275);
INSERT INTO leftoff.entry VALUES (36, 2, 1, 1795708226643, 'started', '2', NULL, 0, 2912044275, 3083474397);
INSERT INTO leftoff.entry VALUES (37, 2, 1, 1795708226643, 'started', '3', NULL, 0, 3083474397, 251805829);
INSERT INTO leftoff.entry VALUES (38, 2, 1, 1795708226644, 'done', '0', NULL, 0, 251805829, 3220379383);
INSERT INTO leftoff.entry VALUES (39, 2, 1, 1795708226644, 'done', '1', NULL, 0, 3220379383, 2643288189);
INSERT INTO leftoff.entry VALUES (40, 2, 1, 1795708226644, 'done', '2', NULL, 0, 2643288189, 2651863756);
INSERT INTO leftoff.entry VALUES (41, 2, 1, 1795708226644, 'done', '3', NULL, 0, 2651863756, 2974938761);
INSERT INTO leftoff.entry VALUES (42, 2, 1, 1795708226645, 'started', '4', NULL, 0, 2974938761, 210619352);
INSERT INTO leftoff.entry VALUES (43, 2, 1, 1795708226645, 'started', '5', NULL, 0, 210619352, 4036655451);
INSERT INTO leftoff.entry VALUES (44, 2, 1, 1795708226645, 'started', '6', NULL, 0, 4036655451, 2138709000);
INSERT INTO leftoff.entry VALUES (45, 2, 1, 1795708226645, 'started', '7', NULL, 0, 2138709000, 3809977829);
INSERT INTO leftoff.entry VALUES (46, 2, 1, 1795708226645, 'done', '4', NULL, 0, 3809977829, 3169478904);
INSERT INTO leftoff.entry VALUES (47, 2, 1, 1795708226645, 'done', '5', NULL, 0, 3169478904, 2605495470);
INSERT INTO leftoff.entry VALUES (48, 2, 1, 1795708226645, 'done', '6', NULL, 0, 2605495470, 80546297);
INSERT INTO leftoff.entry VALUES (49, 2, 1, 1795708226645, 'done', '7', NULL, 0, 80546297, 141880739);
INSERT INTO leftoff.entry VALUES (50, 2, 1, 1795708226646, 'started', '8', NULL, 0, 141880739, 1665453575);
INSERT INTO leftoff.entry VALUES (51, 2, 1, 1795708226646, 'started', '9', NULL, 0, 1665453575, 2504149942);
INSERT INTO leftoff.entry VALUES (52, 2, 1, 1795708226646, 'started', '10', NULL, 0, 2504149942, 1430689558);
INSERT INTO leftoff.entry VALUES (53, 2, 1, 1795708226646, 'started', '11', NULL, 0, 1430689558, 3240465470);
INSERT INTO leftoff.entry VALUES (54, 2, 1, 1795708226647, 'done', '8', NULL, 0, 3240465470, 1313147020);
INSERT INTO leftoff.entry VALUES (55, 2, 1, 1795708226647, 'done', '9', NULL, 0, 1313147020, 1208924993);
INSERT INTO leftoff.entry VALUES (56, 2, 1, 1795708226647, 'done', '10', NULL, 0, 1208924993, 2187024590);
INSERT INTO leftoff.entry VALUES (57, 2, 1, 1795708226647, 'done', '11', NULL, 0, 2187024590, 2432326150);
INSERT INTO leftoff.entry VALUES (58, 2, 1, 1795708226648, 'pass', '', '{"total":12,"done":12,"dead":0,"missing":0,"duplicates":0,"resumed":0,"repeated":0,"known_done":12,"known_dead":0}', 592489025, 2432326150, 2431931533);
INSERT INTO leftoff.entry VALUES (65, 1, 2, 1795708226679, 'owner', '', '{"host":"vm","pid":7201,"start":"2026-11-26T15:50:26Z","durability":"power"}', 1656716201, 408720257, 3119539153);
INSERT INTO leftoff.entry VALUES (66, 1, 2, 1795708226686, 'started', 'x', NULL, 0, 3119539153, 4259788634);
INSERT INTO leftoff.entry VALUES (68, 1, 2, 1795708226688, 'done', 'x', NULL, 0, 4259788634, 1705395307);
INSERT INTO leftoff.entry VALUES (69, 1, 2, 1795708226688, 'started', 'y', NULL, 0, 1705395307, 327304659);
INSERT INTO leftoff.entry VALUES (70, 1, 2, 1795708226689, 'done', 'y', NULL, 0, 327304659, 2453463566);
INSERT INTO leftoff.entry VALUES (71, 1, 2, 1795708226689, 'started', 'z', NULL, 0, 2453463566, 433470256);
SELECT setval('leftoff.seq', 73);
