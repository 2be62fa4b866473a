-- Readings are only appended to the log.
DROP FUNCTION IF EXISTS write_readings(
    integer [],
    bigint [],
    double precision [],
    double precision [],
    double precision [],
    double precision [],
    text []
);
