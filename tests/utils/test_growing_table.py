"""The table of a run's records: appended to, and always what the records say."""

import csv

import pytest

from ganforge.callbacks.loggers import CsvLogger, JsonlLogger
from ganforge.utils.records import GrowingTable, append_record, cut_records


@pytest.fixture
def records(tmp_path):
    return tmp_path / "metrics.jsonl"


@pytest.fixture
def table(tmp_path, records):
    return GrowingTable(records, tmp_path / "csv" / "metrics.csv")


def add(records, *steps, **values):
    for step in steps:
        append_record({"step": step, "kimg": step / 2, **values}, records)


def rows(table):
    with table.path.open(newline="") as file:
        return [row["step"] for row in csv.DictReader(file)]


def anew(table, tmp_path):
    """What a table that never saw the records before makes of them."""
    other = GrowingTable(table.records, tmp_path / "other.csv")
    other.update()
    return other.path.read_bytes()


def test_nothing_is_written_without_records(table):
    table.update()
    assert not table.path.exists()


def test_new_records_are_appended(records, table, tmp_path):
    add(records, 1, 2, a=0.5)
    table.update()
    first, file = table.path.read_bytes(), table.path.stat().st_ino
    assert first == b"step,kimg,a\r\n1,0.5,0.5\r\n2,1.0,0.5\r\n"
    add(records, 3, a=None)
    table.update()
    table.update()
    assert table.path.read_bytes() == first + b"3,1.5,\r\n" == anew(table, tmp_path)
    assert table.path.stat().st_ino == file  # the same file, not another in its place


def test_a_new_column_reaches_all_rows(records, table, tmp_path):
    add(records, 1)
    table.update()
    add(records, 2, fid=7.0)
    table.update()
    assert table.path.read_bytes() == b"step,kimg,fid\r\n1,0.5,\r\n2,1.0,7.0\r\n"
    add(records, 3)
    table.update()
    assert table.path.read_bytes() == anew(table, tmp_path)


@pytest.mark.parametrize("harm", ["lost", "longer", "torn"])
def test_a_table_that_was_changed_is_written_anew(records, table, tmp_path, harm):
    add(records, 1, 2)
    table.update()
    content = table.path.read_bytes()
    table.path.unlink()
    if harm != "lost":
        table.path.write_bytes(content[:-3] if harm == "torn" else content + b"9,9\r\n")
    add(records, 3)
    table.update()
    assert rows(table) == ["1", "2", "3"]
    assert table.path.read_bytes() == anew(table, tmp_path)


def test_a_record_that_is_being_written_waits(records, table):
    add(records, 1)
    with records.open("ab") as file:
        file.write(b'{"step": 2, "ki')
    table.update()
    with records.open("ab") as file:
        file.write(b'mg": 1.0}\n')
    table.update()
    assert rows(table) == ["1", "2"]


def test_a_resumed_run_has_no_row_twice(records, tmp_path):
    """In another process, and in the same one, where records as long replace those cut off."""
    loggers = JsonlLogger(records), CsvLogger(tmp_path / "metrics.csv", records)
    for logger in (loggers[1], CsvLogger(tmp_path / "metrics.csv", records)):
        cut_records(records, 2)
        logger.go_on_from(2)
        add(records, *((1, 2, 3) if logger is loggers[1] else (3, 4)), a=1)
        logger.flush()
        logger.finalize("success")
    content = (tmp_path / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in content] == ["step", "1", "2", "3", "4"]
    cut_records(records, 3)
    loggers[1].go_on_from(3)
    add(records, 4, a=2)
    loggers[1].flush()
    assert (tmp_path / "metrics.csv").read_text().splitlines()[-1] == "4,2.0,2"
