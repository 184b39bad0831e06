-- Which project a bare name means stays settled once it was used, also when another directory of that name comes.
ALTER TABLE projects ADD COLUMN is_named INTEGER NOT NULL DEFAULT 0 CHECK (is_named IN (0, 1));
UPDATE projects SET is_named = 1 WHERE path IS NULL;
CREATE UNIQUE INDEX projects_by_given_name ON projects (name) WHERE is_named = 1;
DROP INDEX projects_without_path;
