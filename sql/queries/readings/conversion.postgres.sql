-- The end of moving readings out of the old table, whose partitions go when they are empty.

-- name: has_old_shape
SELECT EXISTS (SELECT FROM pg_inherits WHERE inhparent = 'unpacked_reading'::regclass);

-- name: vacuum_old_shape
VACUUM unpacked_reading;
