"""Bugs of the kinds that cost work, each with the tests that must fail while it is in the product.

A bug is a change of exact text that stands once in a file. Where the product has moved on, plant the bug anew: say how
the same mistake would be made today.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Bug(NamedTuple):
    """Be one mistake: in which file, which text it replaces by which, and which tests must each see it."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    slow: bool = False  # its tests wait in vain for what never comes


SYNCED: Final = "journal/test_synced_before.py::"
JSONL: Final = "journal/test_jsonl.py::"
TEARS: Final = "journal/test_jsonl_damage.py::"
SQLITE: Final = "journal/test_sqlite.py::"
ROWS: Final = "journal/test_sqlite_damage.py::test_a_change_by_somebody_else_is_refused"
OLDER_RUN: Final = "journal/test_sqlite_damage.py::test_a_large_journal_whose_older_run_was_changed_is_refused"
USER: Final = "journal/test_connection.py::"
LOCK: Final = "journal/test_lock.py::"
DURABLE: Final = "contract/test_durable.py::"
OWNERS: Final = "contract/test_owners.py::"
ONE_CRASH: Final = "contract/test_identity.py::test_p6_one_crash_is_counted_once_however_many_owners_come_by"
POSTGRES: Final = "crash/test_postgres.py::"
PASSES: Final = "work/test_passes.py::"
EACH: Final = "work/test_each.py::"
COPY: Final = "work/test_copy.py::"
MEND: Final = "work/test_mend_segments.py::"

_SYNCS = (
    Bug(
        "a commit is not synced", "journal/jsonl_owner.py",
        "            if self.power:\n                sync_file(self.fd)", "            pass",
        (JSONL + "test_a_commit_is_one_write_and_with_power_a_sync_before_it_returns[power]",),
    ),
    Bug(
        "the header is not synced", "journal/jsonl.py",
        "                sync_file(fd)\n            except BaseException",
        "                pass\n            except BaseException",
        (SYNCED + "test_a_new_journal_and_its_name_are_on_disk_before_its_first_entry",),
    ),
    Bug(
        "the name of a new JSON Lines journal is not synced", "journal/jsonl.py",
        "            sync_directory(self.path.parent)  #", "            pass  #",
        (SYNCED + "test_a_new_journal_and_its_name_are_on_disk_before_its_first_entry",),
    ),
    Bug(
        "the name of a new database is not synced", "journal/sqlite_owner.py",
        "        sync_directory(path.parent)  #", "        pass  #",
        (SYNCED + "test_a_database_whose_name_cannot_be_synced_has_no_owner",),
    ),
    Bug(
        "what the last owner left unsynced stays so", "journal/jsonl.py",
        '        sync_file(fd)  # what "process"', '        # what "process"',
        (SYNCED + "test_what_an_owner_that_died_left_unsynced_is_synced_before_the_next_one_writes",),
    ),
    Bug(
        "the thread that syncs does not", "journal/jsonl_owner.py",
        '                sync_file(self.fd)\n            except OSError as error:\n                self.fail("a sync"',
        '                pass\n            except OSError as error:\n                self.fail("a sync"',
        (JSONL + "test_with_process_a_failed_sync_stops_the_next_commit",), slow=True,
    ),
    Bug(
        "a line claims that more was synced than was", "journal/jsonl_owner.py",
        "            self._synced = target\n", "            self._synced = self.offset\n",
        (SYNCED + "test_a_line_never_says_that_more_was_synced_than_was",),
    ),
    Bug(
        "closing leaves the end unsynced", "journal/jsonl_owner.py",
        "self._poison is None:\n                sync_file(self.fd)", "self._poison is None:\n                pass",
        (SYNCED + "test_closing_leaves_nothing_unsynced",),
    ),
    Bug(
        "a file that is put in its place is not synced", "journal/sync.py",
        "    sync_file(fd)\n    os.replace", "    os.replace",
        ("work/test_replacing.py::test_it_is_synced_renamed_and_the_directory_synced_in_this_order",),
    ),
    Bug(
        "the new name of a file is not synced", "journal/sync.py",
        "    os.replace(temporary, target)\n    sync_directory(target.parent)", "    os.replace(temporary, target)",
        ("work/test_replacing.py::test_it_is_synced_renamed_and_the_directory_synced_in_this_order",),
    ),
    Bug(
        "what was cut off is not synced", "journal/sync.py",
        "            sync_file(fd)\n        finally:", "            pass\n        finally:",
        ("journal/test_sync.py::test_what_is_kept_aside_is_synced_with_its_name",),
    ),
    Bug(
        "a failed sync is tried again", "journal/sync.py",
        "        os.fdatasync(fd)",
        "        try:\n            os.fdatasync(fd)\n        except OSError:\n            os.fdatasync(fd)",
        (SYNCED + "test_a_sync_that_failed_is_not_tried_again",),
    ),
    Bug(
        "a failed sync does not poison the handle", "journal/jsonl_owner.py",
        "        return self._poison\n", "        poison, self._poison = self._poison, None\n        return poison\n",
        (JSONL + "test_a_sync_that_failed_poisons_the_handle",),
    ),
    Bug(
        "a short write is accepted", "journal/jsonl_owner.py",
        "            if os.write(self.fd, data) != len(data):", "            if os.write(self.fd, data) == 0:",
        (JSONL + "test_a_write_cut_short_is_cut_off_by_the_next_owner[power]",),
    ),
)  # fmt: skip

_DATABASE = (
    Bug(
        "a PRAGMA's answer is ignored", "journal/sqlite_file.py",
        "        if rows and rows[0][0] != wanted:", "        if rows is None:",
        (SQLITE + "test_an_answer_that_is_not_what_was_asked_is_refused",),
    ),
    Bug(
        "synchronous is NORMAL where power was asked for", "journal/sqlite_file.py",
        """f"synchronous={'FULL' if power else 'NORMAL'}": 2 if power else 1""", '"synchronous=NORMAL": 1',
        (SQLITE + "test_the_durability_is_what_sqlite_is_set_to[power-2]",),
    ),
    Bug(
        "a commit is acknowledged before COMMIT", "journal/sqlite_owner.py",
        "            marks = self._write(drafts)\n            connection.end_transaction()",
        "            marks = self._write(drafts)",
        (DURABLE + "test_p1_a_commit_is_read_back_by_another_handle_at_once[sqlite-power]",),
    ),
    Bug(
        "a commit that failed may be followed by another", "journal/sqlite_owner.py",
        "        self._refusal = cause\n        return cause", "        return cause",
        (SQLITE + "test_a_commit_that_failed_is_in_doubt",),
    ),
    Bug(
        "the epoch is not part of an SQLite commit", "journal/sqlite_owner.py",
        '    " WHERE run = ? AND epoch = ? AND seq = ?"', '    " WHERE run = ? AND epoch = epoch + 0 * ? AND seq = ?"',
        (SQLITE + "test_an_owner_of_an_older_epoch_writes_nothing",),
    ),
    Bug(
        "the epoch is not part of a PostgreSQL commit", "journal/postgres_owner.py",
        '    " WHERE run = ? AND epoch = ? AND seq = ? RETURNING 1)',
        '    " WHERE run = ? AND epoch = epoch + 0 * ?::int AND seq = ? RETURNING 1)',
        (POSTGRES + "test_an_owner_of_an_older_epoch_writes_nothing",),
    ),
    Bug(
        "a commit in doubt is taken for lost", "journal/postgres_owner.py",
        "                committed = wanted is not None and (row.seq, row.sum) == (wanted.seq, wanted.sum)",
        "                committed, left = False, row",
        (POSTGRES + "test_a_commit_in_doubt_is_looked_up_and_believed_only_if_it_is_there[down]",),
    ),
    Bug(
        "a commit in doubt is taken for durable", "journal/postgres_owner.py",
        "        return committed\n", "        return True\n",
        (POSTGRES + "test_a_commit_in_doubt_is_looked_up_and_believed_only_if_it_is_there[up]",),
    ),
    Bug(
        "a server without full pages is trusted with power", "journal/postgres_server.py",
        """        for setting in ("fsync", "full_page_writes"):""", """        for setting in ("fsync",):""",
        ("journal/test_postgres.py::test_a_server_without_full_pages_gives_no_power",),
    ),
    Bug(
        "the user's commit() commits the item", "journal/connection.py",
        'and outside an item everything is committed."""\n        self.check()',
        'and outside an item everything is committed."""\n        self.end_transaction()',
        (USER + "test_nothing_that_commits_elsewhere_commits_an_item_early[_commit]",),
    ),
    Bug(
        "an item's rows commit one by one", "journal/connection.py",
        "        if self.in_item and not self.opened:\n            self._open()", "",
        (USER + "test_rows_of_an_item_commit_with_its_entry", USER + "test_rows_of_an_item_that_is_abandoned_are_gone"),
    ),
    Bug(
        "rows behind a rolled back transaction commit by themselves", "journal/connection.py",
        "        if self.opened and not self.in_transaction:\n            raise TransactionEnded",
        "        if self.opened and not self.thread:\n            raise TransactionEnded",
        (USER + "test_a_rolled_back_transaction_is_noticed_at_the_next_use",),
    ),
    Bug(
        "a copy is made without SQLite's backup", "journal/copying.py",
        "        reader.backup(connection)", "        path.write_bytes(source.path.read_bytes())",
        (COPY + "test_a_journal_is_copied_while_it_is_written[a.db-b.db]",),
    ),
    Bug(
        "a journal that was moved is not marked", "work/copy.py",
        "                _mark(store, owner, there.place)", "                pass",
        (COPY + "test_a_moved_journal_goes_on_at_one_place[a.jsonl-b.db]",),
    ),
)  # fmt: skip

_SUMS = (
    Bug(
        "a run's chain does not begin at the journal's id", "journal/rows.py",
        "        self.salt = crc32(journal_id.encode())", "        self.salt = 0",
        ("journal/test_sqlite_damage.py::test_rows_of_another_journal_are_refused",),
    ),
    Bug(
        "the header is not part of the sum", "journal/jsonl_scan.py",
        "    return Position(match.end(), crc32(match[0]), 0)", "    return Position(match.end(), 0, 0)",
        (JSONL + "test_the_lines_are_those_of_the_format_page[power]",),
    ),
    Bug(
        "an owner begins a chain of its own", "journal/sqlite_owner.py",
        "        self._row = moved\n", "        self._row = moved._replace(sum=self._rows.salt)\n",
        (OWNERS + "test_p7_each_owner_has_a_greater_epoch_and_its_name_is_kept[sqlite-power]",),
    ),
    Bug(
        "entries of one commit do not continue each other", "journal/chain.py",
        "            prev = total\n", "            prev = self._row.sum\n",
        (DURABLE + "test_p2_a_commit_of_many_drafts_keeps_their_order[sqlite-power]",),
    ),
    Bug(
        "a value is not part of its entry's sum", "journal/rows.py",
        "    return 0 if value is None else crc32(value.encode())", "    return 0",
        (ROWS + """[UPDATE leftoff_entry SET value = '{"n":7}' WHERE key = 'k1' AND kind = 'done']""",),
    ),
    Bug(
        "a run's numbers are not part of its sum", "journal/rows.py",
        "{mark}|{done}|{dead}|{superseded}", "{mark}|{dead}|{superseded}",
        (OLDER_RUN + "[UPDATE leftoff_run SET done = done + 1 WHERE name = 'loop']",),
    ),
    Bug(
        "a sum leaves out the last byte before it", "journal/jsonl_scan.py",
        "    crc = crc32(lines[:-SUM_TAIL], crc)", "    crc = crc32(lines[: -SUM_TAIL - 1], crc)",
        (DURABLE + "test_p1_a_commit_is_read_back_by_another_handle_at_once[jsonl-power]",),
    ),
    Bug(
        "a hole at a line's begin is taken for damage", "journal/jsonl_scan.py",
        "        (start == 0 or (at + start) % SECTOR == 0)", "        (at + start) % SECTOR == 0",
        (TEARS + "test_sectors_of_the_last_commit_that_read_as_zeros_are_a_torn_tail",),
    ),
    Bug(
        "damage is taken for a tear: whole lines behind it", "journal/jsonl_scan.py",
        " or (at >= bad and not hole_seen)", "",
        ("journal/test_jsonl_tears.py::test_a_flipped_bit_in_a_commit_that_was_cut_short_too_is_damage",),
    ),
    Bug(
        "damage is taken for a tear: before what was synced", "journal/jsonl_scan.py",
        "int(whole[3] or whole[2]) > begin or ", "",
        (TEARS + "test_with_process_a_hole_is_a_tear_only_behind_what_had_been_synced[True]",),
    ),
    Bug(
        "SQLite's dropped commits are taken for a tear", "journal/sqlite_wal.py",
        "        return self.commits < 2 and not self.flipped", "        return True",
        ("journal/test_sqlite_damage.py::test_a_flipped_bit_in_the_log_of_a_killed_owner_is_found",),
    ),
    Bug(
        "a vanished tail is not seen", "journal/sqlite.py",
        "                rows.check_head(run)\n", "                pass\n",
        (OLDER_RUN + "[DELETE FROM leftoff_entry WHERE seq = (SELECT seq FROM leftoff_run WHERE name = 'loop')]",),
    ),
)  # fmt: skip

_OWNERS = (
    Bug(
        "each name of a database has a lock of its own", "journal/sqlite.py",
        "        self.path = Path(os.path.realpath(path))", "        self.path = Path(os.path.abspath(path))",
        (SQLITE + "test_a_journal_under_two_names_has_one_lock",),
    ),
    Bug(
        "the lock is on another file than its successor's", "journal/lock.py",
        " or (status.st_dev, status.st_ino) != self._identity:", ":",
        (LOCK + "test_a_lock_file_that_was_swapped_is_noticed",),
    ),
    Bug(
        "the lock file is deleted", "journal/lock.py",
        "        if fd >= 0:\n            os.close(fd)",
        "        if fd >= 0:\n            os.close(fd)\n            os.unlink(self.path)",
        (LOCK + "test_the_locks_file_stays_and_means_nothing",),
    ),
    Bug(
        "a lock falls with any close of its file", "journal/lock.py",
        "fcntl.fcntl(fd, fcntl.F_OFD_SETLK,", "fcntl.fcntl(fd, fcntl.F_SETLK,",
        (LOCK + "test_other_openings_of_the_lock_file_do_not_drop_the_lock",),
    ),
    Bug(
        "a lock that everybody gets is believed", "journal/lock.py",
        "            _probe(path, slot * _SLOT)", "            pass",
        ("journal/test_segments.py::test_a_lock_that_keeps_nobody_out_is_refused[JsonlStore-a.jsonl]",),
    ),
    Bug(
        "a forked child inherits the lock", "journal/lock.py",
        "    for hold in list(_held):\n        hold.release()", "    pass",
        (OWNERS + "test_p7_a_dead_owners_hold_is_gone_though_its_forked_child_lives[jsonl-power]",),
    ),
    Bug(
        "a forked child writes", "journal/jsonl_owner.py",
        "        if os.getpid() != self._pid:\n            raise ForkedHandle",
        "        if not self._pid:\n            raise ForkedHandle",
        (OWNERS + "test_p7_a_forked_child_cannot_write_and_harms_nothing[jsonl-power]",),
    ),
    Bug(
        "a file that somebody else wrote to is written to", "journal/jsonl_owner.py",
        "        if size != self.offset:", "        if size < 0:",
        (JSONL + "test_a_file_that_somebody_else_wrote_to_is_left_alone[power]",),
    ),
    Bug(
        "a journal that was replaced is written to", "journal/names.py",
        "            if inode_of(path) != inode:", "            if not inode:",
        (OWNERS + "test_p7_a_journal_replaced_underneath_is_noticed_before_the_next_commit[sqlite-power]",),
    ),
    Bug(
        "files can be read by everybody", "journal/sync.py",
        "PRIVATE: Final = 0o600", "PRIVATE: Final = 0o644",
        (DURABLE + "test_p1_files_are_private[jsonl-power]", DURABLE + "test_p1_files_are_private[sqlite-power]"),
    ),
)  # fmt: skip

_ITEMS = (
    Bug(
        "done waits for an input that may never go on", "work/each.py",
        "(mark or not fuse or guard.asked is not None", "(mark or guard.asked is not None",
        (EACH + "test_an_input_is_never_read_ahead[run.jsonl]",),
    ),
    Bug(
        "work begins before started is durable", "work/each.py",
        "                        commit((started,))\n", "                        pass\n",
        (EACH + "test_an_item_is_done_when_the_body_comes_back_for_the_next[run.jsonl]",),
    ),
    Bug(
        "an item is done before it is worked on", "work/each.py",
        "                        commit((started,))\n",
        '                        walk.conclude((started, Draft("done", key)))\n',
        (EACH + "test_an_item_is_done_when_the_body_comes_back_for_the_next[run.jsonl]",),
    ),
    Bug(
        "an outcome is yielded before it is durable", "work/in_flight.py",
        "            self.walk.conclude(interleave(drafts, begun))",
        "            self.walk.conclude(begun)\n            self.late = drafts",
        (PASSES + "test_a_done_that_the_store_dropped_is_missing[threads-memory:]",),
    ),
    Bug(
        "a crash is not counted", "journal/entry.py",
        "        return Tries(self.errors, self.crashes + 1)", "        return Tries(self.errors, self.crashes)",
        (DURABLE + "test_p1_a_commit_survives_kill_9[jsonl-power]",),
    ),
    Bug(
        "a crash is counted by every owner", "journal/entry.py",
        "        return Tries(self.errors, self.crashes + 1)",
        "        return Tries(self.errors, self.crashes + 1, self.begun)",
        (ONE_CRASH + "[jsonl-power]", ONE_CRASH + "[sqlite-power]"),
    ),
    Bug(
        "an open mark forgets crashes", "journal/entry.py",
        "for name, count in tries._asdict().items()}",
        'for name, count in tries._asdict().items() if name != "crashes"}',
        (ONE_CRASH + "[jsonl-power]", ONE_CRASH + "[sqlite-power]"),
    ),
    Bug(
        "an open mark is of before its commit", "journal/chain.py",
        "            fold_open(table, kind, key, json.loads(value) if value else None)\n"
        "        return open_mark(table)",
        "            pass\n        return open_mark(table)",
        (SQLITE + "test_open_items_are_read_from_the_newest_mark",),
    ),
    Bug(
        "an item that is given back has an error more", "work/passes.py",
        '    return Draft("released", key, _settled(tries, None))',
        '    return Draft("released", key, _settled(Tries(tries.errors + 1, tries.crashes), None))',
        (EACH + "test_a_break_gives_the_item_back[run.jsonl]",),
    ),
    Bug(
        "a conclusion that was superseded still counts", "journal/chain.py",
        "            superseded += before != 0 or after == 0", "            superseded += 0",
        (SQLITE + "test_conclusions_that_were_superseded_are_counted_once",),
    ),
    Bug(
        "a duplicate is not counted", "work/passes.py",
        "        self.duplicates += 1", "        pass",
        (EACH + "test_a_repeated_item_is_worked_on_once[run.jsonl]",),
    ),
    Bug(
        "what is missing is computed from counters", "work/passes.py",
        "        done, dead = self.owner.tally(self._met)",
        "        done, dead = self.done + self.resumed, self.dead",
        (PASSES + "test_a_done_that_the_store_dropped_is_missing[each-run.db]",),
    ),
    Bug(
        "the keys that were met are not kept", "work/passes.py",
        "        met[byte] |= bit\n\n", "        met[byte] |= 0\n\n",
        (EACH + "test_a_repeated_item_is_worked_on_once[run.jsonl]",),
    ),
    Bug(
        "a stop during the last item is lost", "work/signals.py",
        "        code, self.pending = self.pending, None\n        return code",
        "        self.pending = None\n        return None",
        ("work/test_signals.py::test_a_stop_during_the_last_item_is_not_lost",),
    ),
    Bug(
        "a signal ends a commit half-way", "work/signals.py",
        "        if changing or _is_committing(frame):", "        if changing:",
        (PASSES + "test_p10_a_signal_inside_a_commit_is_told_and_a_second_one_stops_behind_it[each-2]",),
    ),
)  # fmt: skip

_REPAIRS = (
    Bug(
        "what a lost entry took back of other segments comes back", "journal/segments_repair.py",
        "            if named := directory.concluded_by(run, key, self.name):",
        "            if named := dict[str, int]():",
        (MEND + "test_what_a_lost_entry_took_back_elsewhere_is_not_done[later0]",
         MEND + "test_what_a_third_took_back_of_the_redone_is_not_done"),
    ),
    Bug(
        "a segment whose id is lost keeps what others took back of it", "journal/segments_repair.py",
        "        if self.header is None:", "        if False:",
        (MEND + "test_a_segment_without_its_id_loses_what_was_taken_back_elsewhere",),
    ),
    Bug(
        "a repaired run has new tokens", "journal/segments_repair.py",
        "created(None, new_run_id(self.header.id, run))", "created(None)",
        (MEND + "test_a_run_keeps_its_id",),
    ),
    Bug(
        "a repair calls a run back that was moved", "journal/segments_repair.py",
        "            remains.moved = directory.moved(run)", "            pass",
        (MEND + "test_a_run_that_was_moved_stays_so",),
    ),
    Bug(
        "a repair's times may lie before those it has read", "journal/segments_repair.py",
        "max(time.time(), *(part.newest + LATER for part in directory.parts.values()))", "time.time()",
        (MEND + "test_what_is_added_comes_after_all_else[-3600]",),
    ),
    Bug(
        "a directory is repaired while a writer lives", "journal/segments_repair.py",
        "        _refuse_living(path, url)\n        directory", "        directory",
        ("work/test_mend_segments_refused.py::test_while_a_writer_lives_nothing_is_changed[another file]",),
    ),
    Bug(
        "a reader believes the places of a file that was replaced", "journal/segment.py",
        "                if inode != self._inode:", "                if False:",
        ("work/test_mend_segments_refused.py::test_nobody_claims_anything_meanwhile",),
    ),
)  # fmt: skip

_LOOPS: Final = (
    Bug(
        "a docstring is part of the meaning", "work/fingerprint.py",
        " for each in node if not _is_docstring(each))", " for each in node)",
        ("work/test_fingerprint.py::test_two_functions_that_differ_in_form_alone_are_equal",),
    ),
    Bug(
        "a redo forgets what this version did", "work/change.py",
        "if id_ not in (None, version.id)]", "if id_ is not None]",
        ("work/test_versions.py::test_what_another_version_did_is_redone[run.jsonl]",),
    ),
    Bug(
        "a run whose function changed keeps its epoch", "work/change.py",
        "run.own_anew() if run.has_concluded else run.own()", "run.own()",
        ("work/test_versions.py::test_a_function_changed_in_one_process_is_told_apart[run.jsonl]",),
    ),
    Bug(
        "a position that a failed attempt moved to is recorded by the next item", "work/map.py",
        "            run.drafts.clear()\n", "",
        ("work/test_cursor.py::test_where_an_attempt_that_failed_moved_a_cursor_no_other_takes_it[run.jsonl]",),
    ),
    Bug(
        "an inner loop has the name of every item's", "work/naming.py",
        '        run = f"{outer.run}[{outer.key}]"', '        run = f"{outer.run}[]"',
        ("work/test_inner.py::test_an_inner_loop_without_a_name_is_its_items[run.jsonl]",),
    ),
    Bug(
        "what is begun inside an item is never given up", "work/run.py",
        "                    inside.owned.append(self.give_up)", "                    pass",
        ("work/test_inner.py::test_thousands_of_inner_runs_need_no_more_files_than_one[loops]",),
    ),
    Bug(
        "a budget is spent one item too late", "work/budget.py",
        "        return any(self.spent.get(name, 0) >= limit", "        return any(self.spent.get(name, 0) > limit",
        ("work/test_budget.py::test_a_tenth_ten_times_is_one",),
    ),
    Bug(
        "what a failed attempt was charged is forgotten", "work/budget.py",
        '        self.spent = _spent_by(store.latest(run, "charged", share))', "        self.spent = {}",
        ("work/test_budget.py::test_a_run_stops_when_its_budget_is_spent[each-run.jsonl]",),
    ),
    Bug(
        "what a second Ctrl-C cut off is not named", "work/passes.py",
        "self.budget.cut_off(items) if _tears(error) else []", "[]",
        ("work/test_budget.py::test_what_a_second_signal_cuts_off_is_uncertain",),
    ),
    Bug(
        "SIGTERM does not come again", "work/signals.py",
        "            _thread.start_new_thread(self.ask_again", "            (lambda *_: None)(self.ask_again",
        ("work/test_grace.py::test_ctrl_c_has_time[15]",),
    ),
)  # fmt: skip

BUGS: Final = (*_SYNCS, *_DATABASE, *_SUMS, *_OWNERS, *_ITEMS, *_REPAIRS, *_LOOPS)
