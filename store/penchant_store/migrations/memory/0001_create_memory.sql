-- Truth: what was said and done, and what was asked to be remembered.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
    agent INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE CHECK (name <> ''),
    token_digest BLOB UNIQUE,
    created_at TEXT NOT NULL
) STRICT;

CREATE TABLE speakers (speaker INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE CHECK (name <> '')) STRICT;

CREATE TABLE projects (
    project INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL CHECK (name <> ''),
    path TEXT UNIQUE,
    created_at TEXT NOT NULL
) STRICT;
CREATE INDEX projects_by_name ON projects (name);
CREATE UNIQUE INDEX projects_without_path ON projects (name) WHERE path IS NULL;

CREATE TABLE sessions (
    session INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE CHECK (id <> ''),
    title TEXT,
    title_source TEXT,
    project INTEGER REFERENCES projects,
    agent INTEGER NOT NULL REFERENCES agents,
    parent INTEGER REFERENCES sessions,
    started_at TEXT,
    ended_at TEXT,
    last_at TEXT,
    n_events INTEGER NOT NULL DEFAULT 0,
    n_messages INTEGER NOT NULL DEFAULT 0,
    n_items INTEGER NOT NULL DEFAULT 0,
    source TEXT NOT NULL
) STRICT;
CREATE INDEX sessions_by_last ON sessions (last_at);
CREATE INDEX sessions_by_project ON sessions (project, last_at);

-- Append-only. A row is never deleted: erasure blanks what was said and keeps the chain.
CREATE TABLE events (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    item INTEGER,
    kind TEXT NOT NULL CHECK (kind IN ('message', 'tool_call', 'tool_result', 'edit', 'session_start', 'session_end',
                                       'compaction', 'reference')),
    role TEXT NOT NULL CHECK (role IN ('user', 'assistant', 'system', 'tool')),
    content TEXT NOT NULL,
    session INTEGER REFERENCES sessions,
    project INTEGER REFERENCES projects,
    agent INTEGER NOT NULL REFERENCES agents,
    speaker INTEGER REFERENCES speakers,
    origin TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    created_at TEXT NOT NULL,
    channel TEXT NOT NULL,
    channel_class INTEGER NOT NULL, -- 0 other, 1 hook, 2 transcript
    source_key TEXT,
    twin_key TEXT, -- the key under which the other channel delivered the same event
    tool_name TEXT,
    tool_call_id TEXT,
    meta TEXT,
    refers_to TEXT,
    position INTEGER NOT NULL,
    fingerprint INTEGER NOT NULL, -- keyed, of the text with its white space collapsed
    digest BLOB NOT NULL, -- keyed, of the exact text
    link BLOB NOT NULL, -- of the hash chain
    erased_at TEXT
) STRICT;
CREATE UNIQUE INDEX events_by_source_key ON events (ifnull(session, 0), source_key, channel_class)
    WHERE source_key IS NOT NULL;
CREATE INDEX events_by_twin_key ON events (ifnull(session, 0), twin_key) WHERE twin_key IS NOT NULL;
CREATE INDEX events_by_fingerprint ON events (fingerprint);
CREATE INDEX events_by_position ON events (session, position);

CREATE TABLE memories (
    memory INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    item INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('fact', 'decision', 'procedure', 'episode', 'note')),
    content TEXT NOT NULL CHECK (content <> ''),
    scope TEXT NOT NULL CHECK (scope IN ('private', 'project', 'global')),
    project INTEGER REFERENCES projects,
    agent INTEGER NOT NULL REFERENCES agents,
    session INTEGER REFERENCES sessions,
    speaker INTEGER REFERENCES speakers,
    origin TEXT NOT NULL,
    channel TEXT NOT NULL,
    source_event TEXT,
    created_at TEXT NOT NULL,
    occurred_at TEXT NOT NULL,
    valid_from TEXT,
    valid_to TEXT,
    superseded_by TEXT,
    importance REAL NOT NULL CHECK (importance BETWEEN 0 AND 1),
    trust REAL,
    status TEXT NOT NULL CHECK (status IN ('active', 'quarantined', 'superseded', 'archived')),
    fingerprint INTEGER NOT NULL,
    sameness BLOB NOT NULL -- keyed, of all that makes two memories the same
) STRICT;
CREATE UNIQUE INDEX memories_by_sameness ON memories (sameness) WHERE status = 'active';
CREATE INDEX memories_by_source_event ON memories (source_event) WHERE source_event IS NOT NULL;
CREATE INDEX memories_by_superseded_by ON memories (superseded_by) WHERE superseded_by IS NOT NULL;

CREATE TABLE sources (
    path TEXT PRIMARY KEY,
    assistant TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    "offset" INTEGER NOT NULL,
    head_digest TEXT NOT NULL,
    state TEXT NOT NULL,
    updated_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    dedupe_key TEXT,
    status TEXT NOT NULL CHECK (status IN ('queued', 'running', 'failed')),
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    created_at TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX jobs_waiting ON jobs (kind, dedupe_key) WHERE status = 'queued' AND dedupe_key IS NOT NULL;
CREATE INDEX jobs_by_status ON jobs (status, kind, id);

-- Derived: the items of the recall index, one packed row each, so that 100,000 load in a fraction of a second.
CREATE TABLE items (item INTEGER PRIMARY KEY AUTOINCREMENT, packed BLOB NOT NULL) STRICT;
CREATE VIRTUAL TABLE words USING fts5(text, content='', contentless_delete=1, tokenize='porter unicode61');
CREATE VIRTUAL TABLE word_places USING fts5vocab('words', 'instance');
CREATE VIRTUAL TABLE trigrams USING fts5(text, content='', contentless_delete=1, tokenize='trigram');
