-- Days follow the company's time zone, and impact is in its currency: when either changes, everything is derived anew.
CREATE OR REPLACE FUNCTION derive_operations_anew() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(7463006, NEW.company_id);
    PERFORM prepare_operation_change();
    DELETE FROM storage_rollup WHERE company_id = NEW.company_id;
    DELETE FROM revenue_rollup WHERE company_id = NEW.company_id;
    DELETE FROM user_day WHERE company_id = NEW.company_id;
    DELETE FROM activity WHERE company_id = NEW.company_id;
    DELETE FROM registration WHERE company_id = NEW.company_id;
    DELETE FROM deactivation WHERE company_id = NEW.company_id;
    DELETE FROM baseline WHERE company_id = NEW.company_id;
    DELETE FROM surveyed_month WHERE company_id = NEW.company_id;
    INSERT INTO operation_change SELECT o.*, 1 FROM operation AS o WHERE o.company_id = NEW.company_id;
    PERFORM apply_operation_change(NEW.company_id);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER organization_days_changed AFTER UPDATE OF timezone, currency ON organization
FOR EACH ROW WHEN ((old.timezone, old.currency) IS DISTINCT FROM (new.timezone, new.currency))
EXECUTE FUNCTION derive_operations_anew();
