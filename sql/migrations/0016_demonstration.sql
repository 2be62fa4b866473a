-- Organizations of the demonstration, which commands use only when they are named.
ALTER TABLE organization ADD COLUMN demonstration boolean NOT NULL DEFAULT false;

UPDATE organization SET demonstration = true
WHERE name IN ('Demo: New York weather 2013', 'Demo: cold storage in Nigeria 2025');
