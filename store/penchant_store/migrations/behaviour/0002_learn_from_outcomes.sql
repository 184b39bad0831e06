-- What the ranker learns from: the features that a model saw of each candidate, shown or not, what came of those that
-- were shown, and the models that were fitted to it.

CREATE TABLE feature_sets (feature_set INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE) STRICT;

ALTER TABLE impressions ADD COLUMN feature_set INTEGER REFERENCES feature_sets;
CREATE INDEX impressions_by_agent ON impressions (agent, created_at);

-- Features were kept as text, unscaled, and nothing had read them yet.
CREATE TABLE shown_before AS SELECT impression, rank, memory_id, score FROM impression_items;
DROP TABLE impression_items;
CREATE TABLE impression_items (
    impression INTEGER NOT NULL REFERENCES impressions ON DELETE CASCADE,
    rank INTEGER NOT NULL,
    memory_id TEXT NOT NULL,
    score REAL NOT NULL,
    is_shown INTEGER NOT NULL CHECK (is_shown IN (0, 1)),
    propensity REAL NOT NULL CHECK (propensity > 0 AND propensity <= 1), -- of having been looked at
    features BLOB, -- float32, little-endian, in the order of the feature set
    PRIMARY KEY (impression, rank)
) STRICT, WITHOUT ROWID;
INSERT INTO impression_items SELECT impression, rank, memory_id, score, 1, 1.0, NULL FROM shown_before;
DROP TABLE shown_before;
CREATE INDEX impression_items_by_memory ON impression_items (memory_id);

CREATE TABLE outcomes_before AS SELECT * FROM outcomes;
DROP TABLE outcomes;
CREATE TABLE outcomes (
    outcome INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    impression_id TEXT,
    memory_id TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('helped', 'wrong', 'outdated', 'used')),
    agent TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('feedback', 'use')),
    strength REAL NOT NULL CHECK (strength BETWEEN 0 AND 1)
) STRICT;
INSERT INTO outcomes
    SELECT outcome, id, created_at, impression_id, memory_id, verdict, agent, 'feedback', 1.0 FROM outcomes_before;
DROP TABLE outcomes_before;
CREATE INDEX outcomes_by_memory ON outcomes (memory_id);
CREATE INDEX outcomes_by_impression ON outcomes (impression_id);

-- The models' own texts are files under ranker/, named by id and known by digest.
CREATE TABLE ranker_models (
    model INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    created_at TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('linear', 'trees')),
    project TEXT, -- id of the project that it ranks for; NULL for all others
    status TEXT NOT NULL CHECK (status IN ('active', 'rejected', 'replaced', 'rolled_back', 'fell_back', 'refused')),
    reason TEXT NOT NULL,
    digest TEXT NOT NULL,
    trained_on TEXT NOT NULL, -- JSON: counts of queries and outcomes, the newest outcome, figures of the comparison
    changed_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX ranker_models_active ON ranker_models (ifnull(project, '')) WHERE status = 'active';
