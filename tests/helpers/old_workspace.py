"""A workspace as programs wrote it whose sums were fixed columns: schema 3, by its own DDL."""

from __future__ import annotations

import json
import random
import sqlite3
import struct
from pathlib import Path
from typing import Any

_SUMS = """
    samples INTEGER NOT NULL DEFAULT 0,
    correct INTEGER NOT NULL DEFAULT 0,
    gained INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    agree INTEGER NOT NULL DEFAULT 0,
    loss REAL NOT NULL DEFAULT 0,
    kl REAL NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0
"""
DDL = f"""
CREATE TABLE migrations (number INTEGER PRIMARY KEY, applied REAL NOT NULL);
INSERT INTO migrations VALUES (1, 0), (2, 0), (3, 0);
CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    created REAL NOT NULL,
    spec TEXT NOT NULL,
    device TEXT NOT NULL,
    state TEXT NOT NULL,
    queued REAL NOT NULL,
    owner TEXT NOT NULL DEFAULT '',
    pid INTEGER,
    host TEXT NOT NULL DEFAULT '',
    heartbeat REAL NOT NULL,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    error TEXT NOT NULL DEFAULT '',
    batch INTEGER NOT NULL DEFAULT 0,
    batches INTEGER NOT NULL DEFAULT 0,
    done_samples INTEGER NOT NULL DEFAULT 0,
    total_samples INTEGER NOT NULL DEFAULT 0,
    eta_seconds REAL,
    seconds REAL NOT NULL DEFAULT 0,
    fingerprint TEXT NOT NULL DEFAULT '',
    data_fingerprint TEXT NOT NULL DEFAULT '',
    has_labels INTEGER NOT NULL DEFAULT 1,
    versions TEXT NOT NULL DEFAULT '{{}}'
);
CREATE TABLE points (
    run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
    position INTEGER NOT NULL,
    criterion TEXT NOT NULL,
    granularity TEXT NOT NULL,
    layer TEXT NOT NULL,
    "group" TEXT,
    ratio_requested REAL NOT NULL,
    kept INTEGER NOT NULL,
    total INTEGER NOT NULL,
    params INTEGER,
    macs INTEGER,
    status TEXT NOT NULL DEFAULT 'measured',
    reason TEXT NOT NULL DEFAULT '',
    cache_key TEXT NOT NULL,
    {_SUMS},
    PRIMARY KEY (run_id, position)
) WITHOUT ROWID;
CREATE TABLE baselines (
    run_id TEXT NOT NULL REFERENCES runs ON DELETE CASCADE,
    {_SUMS},
    PRIMARY KEY (run_id, samples)
) WITHOUT ROWID;
CREATE TABLE measured (cache_key TEXT PRIMARY KEY, {_SUMS}) WITHOUT ROWID;
CREATE TABLE plans (
    plan_id TEXT PRIMARY KEY,
    created REAL NOT NULL,
    changed REAL NOT NULL,
    fingerprint TEXT NOT NULL,
    plan TEXT NOT NULL
);
CREATE INDEX runs_by_device ON runs (device, state, queued);
ALTER TABLE points ADD COLUMN looks TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN program TEXT NOT NULL DEFAULT '';
"""
SUBJECT = {
    "model": "sample:lenet5",
    "data": "sample:fashion-mnist",
    "samples": 500,
    "calibration_samples": 512,
    "batch_size": 250,
    "seed": 0,
    "device": "cpu",
}
SPEC = {
    "subject": SUBJECT,
    "criteria": ["l1", "l2"],
    "granularity": "channel",
    "ratios": [0.25, 0.5],
    "layers": "*",
    "mode": "exhaustive",
    "tolerance": 0.01,
    "confidence": 0.95,
    "schema_version": 1,
}
SUMS = ("samples", "correct", "gained", "lost", "agree", "loss", "kl", "seconds")
INTEGERS = SUMS[:5]
# Without -0.0, which SQLite itself does not tell from 0.0.
SPECIAL = (0.0, 5e-324, 0.1 + 0.2, 2.0**53 + 2, 1.7976931348623157e308, float("inf"))


def any_float(chance: random.Random) -> float:
    """A finite number of any bits."""
    while True:
        value: float = struct.unpack("<d", chance.randbytes(8))[0]
        if abs(value) < float("inf"):
            return value


def any_sums(chance: random.Random, *, samples: int) -> dict[str, float]:
    """Counts that fit each other, and sums of any bits."""
    lost, gained = chance.randrange(samples // 2), chance.randrange(samples // 2)
    return {
        "samples": samples,
        "correct": chance.randrange(samples),
        "gained": gained,
        "lost": lost,
        "agree": chance.randrange(2**63),
        "loss": any_float(chance),
        "kl": any_float(chance),
        "seconds": any_float(chance),
    }


def insert(db: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    names = ", ".join(f'"{name}"' for name in row)
    db.execute(
        f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
    )


def write_old_workspace(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Write a workspace of schema 3; return what is in it, by table."""
    chance = random.Random(5)
    content: dict[str, list[dict[str, Any]]] = {
        "runs": [
            _run("0101-0000-aaaa", "exhaustive", batch=2, batches=4, samples=250),
            _run("0101-0001-bbbb", "adaptive", batch=3, batches=40, samples=128),
            _run("0101-0002-cccc", "adaptive", batch=0, batches=0, samples=0, total=0),
        ],
        "points": [],
        "baselines": [],
        "measured": [],
    }
    for run in content["runs"][:2]:
        for samples in (64, 250):
            sums = any_sums(chance, samples=samples)
            content["baselines"].append({"run_id": run["run_id"], **sums})
        content["points"] += _points(chance, run["run_id"])
    for number, special in enumerate(SPECIAL):
        sums = {**any_sums(chance, samples=250), "loss": special, "kl": any_float(chance)}
        content["measured"].append({"cache_key": f"special {number}", **sums})
    folder.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(folder / "prunescope.sqlite", isolation_level=None)
    db.executescript(DDL)
    for table, rows in content.items():
        for row in rows:
            insert(db, table, row)
    db.close()
    return content


def _run(
    run_id: str, mode: str, *, batch: int, batches: int, samples: int, total: int = 500
) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "created": 1e9,
        "spec": json.dumps({**SPEC, "mode": mode}),
        "device": "cpu",
        "state": "cancelled",
        "queued": 1e9,
        "heartbeat": 1e9,
        "batch": batch,
        "batches": batches,
        "done_samples": samples,
        "total_samples": total,
        "seconds": 12.5,
        "fingerprint": "w",
        "data_fingerprint": "d",
        "program": "2:p",
        "versions": '{"torch": "2"}',
    }


def _points(chance: random.Random, run_id: str) -> list[dict[str, Any]]:
    rows = []
    for position in range(40):
        status, reason, looks = "measured", "", ""
        sums: dict[str, float] = any_sums(chance, samples=250 if position % 2 else 64)
        if position % 10 == 3:
            status, reason, sums = "failed", "it broke", dict.fromkeys(SUMS, 0)
        elif position % 10 == 4:
            status, reason = "inferred", "decided after 64 of 500 samples"
        elif position % 10 == 5:
            looks = "[[3, 1, 64], [2, 0, 186]]"
        elif position % 10 == 6:
            sums = dict.fromkeys(SUMS, 0)
        rows.append(
            {
                "run_id": run_id,
                "position": position,
                "criterion": ("l1", "l2")[position % 2],
                "granularity": "channel",
                "layer": f"layer{position // 4}",
                "group": f"layer{position // 4}",
                "ratio_requested": (0.25, 0.5)[position // 2 % 2],
                "kept": 3 + position % 4,
                "total": 8,
                "params": None if position % 7 == 0 else position,
                "macs": position * 10**9,
                "status": status,
                "reason": reason,
                "cache_key": f"key {position}",
                "looks": looks,
                **sums,
            }
        )
    return rows
