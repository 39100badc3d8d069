"""A text for every scan, kept in the study's database from run to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from paraspinal_assets.study.database import Database


def recall(
    database: Database,
    name: str,
    versions: Mapping[str, str],
    read: Callable[[list[str]], Sequence[str]],
) -> dict[str, str]:
    """Scan key -> text of every scan; only the texts of scans with a new version are read.

    Parameters
    ----------
    database
        Where they are kept, in a table that is neither shown nor exported.
    name
        Of this kind of text.
    versions
        Scan key -> version of its text, for every scan; the texts of others are deleted.
    read
        Gives the texts of the scans that it is given the keys of.
    """
    with database.writing() as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS _kept (name VARCHAR, scan VARCHAR, version VARCHAR, text VARCHAR)"
        )
        rows = connection.execute("SELECT scan, version, text FROM _kept WHERE name = ?", [name]).fetchall()
    same = {scan: text for scan, version, text in rows if versions.get(scan) == version}
    changed = sorted(versions.keys() - same.keys())
    texts = read(changed) if changed else []  # outside of a transaction, which keeps readers out
    gone = [scan for scan, _, _ in rows if scan not in same]
    if changed or gone:
        with database.writing() as connection:
            connection.execute(
                "DELETE FROM _kept WHERE name = ? AND scan IN (SELECT unnest(?::VARCHAR[]))",
                [name, sorted({*changed, *gone})],
            )
            connection.execute(
                "INSERT INTO _kept SELECT ?, unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[])",
                [name, changed, [versions[key] for key in changed], list(texts)],
            )
    return same | dict(zip(changed, texts, strict=True))
