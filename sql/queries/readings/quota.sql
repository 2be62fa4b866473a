-- name: spend_readings
SELECT spend_readings(:company_id, :readings, :together);
