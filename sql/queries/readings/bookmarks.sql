-- name: read_bookmark
SELECT accepted, rejected, rejections
FROM import_bookmark
WHERE company_id = :company_id AND file = :file;

-- name: keep_bookmark
INSERT INTO import_bookmark (company_id, file, accepted, rejected, rejections)
VALUES (:company_id, :file, :accepted, :rejected, :rejections)
ON CONFLICT (company_id, file) DO UPDATE SET
    accepted = excluded.accepted,
    rejected = excluded.rejected,
    rejections = excluded.rejections,
    kept_at = now();

-- name: remove_bookmark
DELETE FROM import_bookmark WHERE company_id = :company_id AND file = :file;

-- name: remove_old_bookmarks
-- The bookmarks of imports that were never finished.
DELETE FROM import_bookmark WHERE kept_at < now() - interval '30 days';
