from service.logs import configure_logs
from service.settings import Settings
from service.supervisor import serve
def main() -> None:
    s = Settings.from_environment(); configure_logs(s.log_level); serve(s)
