-- Deletes the operations of a cooling unit that is deleted.
CREATE OR REPLACE FUNCTION forget_operations_of_unit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7463006, OLD.company_id);
    PERFORM prepare_operation_change();
    INSERT INTO operation_change
    SELECT o.*, -1 FROM operation AS o WHERE o.company_id = OLD.company_id AND o.cooling_unit_id = OLD.id;
    IF FOUND THEN
        DELETE FROM operation_key AS k USING operation_change AS c WHERE k.company_id = OLD.company_id AND k.id = c.id;
        DELETE FROM operation WHERE company_id = OLD.company_id AND cooling_unit_id = OLD.id;
        PERFORM apply_operation_change(OLD.company_id);
        DELETE FROM storage_rollup WHERE company_id = OLD.company_id AND cooling_unit_id = OLD.id;
        DELETE FROM revenue_rollup WHERE company_id = OLD.company_id AND cooling_unit_id = OLD.id;
        DELETE FROM user_day WHERE company_id = OLD.company_id AND cooling_unit_id = OLD.id;
        DELETE FROM activity WHERE company_id = OLD.company_id AND cooling_unit_id = OLD.id;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER cooling_unit_gone AFTER DELETE ON asset
FOR EACH ROW WHEN (old.is_cooling_unit) EXECUTE FUNCTION forget_operations_of_unit();
