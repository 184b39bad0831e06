-- What was shown and what came of it.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE impressions (
    impression INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    query TEXT NOT NULL,
    agent TEXT NOT NULL,
    session TEXT,
    project TEXT,
    as_of TEXT,
    model TEXT NOT NULL
) STRICT;
CREATE INDEX impressions_by_time ON impressions (created_at);

CREATE TABLE impression_items (
    impression INTEGER NOT NULL REFERENCES impressions ON DELETE CASCADE,
    rank INTEGER NOT NULL,
    memory_id TEXT NOT NULL,
    score REAL NOT NULL,
    features TEXT NOT NULL,
    PRIMARY KEY (impression, rank)
) STRICT, WITHOUT ROWID;
CREATE INDEX impression_items_by_memory ON impression_items (memory_id);

CREATE TABLE outcomes (
    outcome INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    impression_id TEXT,
    memory_id TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('helped', 'wrong', 'outdated')),
    agent TEXT NOT NULL
) STRICT;
CREATE INDEX outcomes_by_memory ON outcomes (memory_id);
