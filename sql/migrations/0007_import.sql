-- How far the import of a file into an organization has come, so that it can continue after an interruption.
CREATE TABLE import_bookmark (
    company_id integer NOT NULL REFERENCES organization ON DELETE CASCADE,
    file bytea NOT NULL,
    accepted bigint NOT NULL,
    rejected bigint NOT NULL,
    rejections json NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (company_id, file)
);
