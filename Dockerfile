FROM python:3.12-slim

WORKDIR /opt/tidemark
COPY requirements/run.lock requirements/run.lock
RUN pip install --no-cache-dir --require-hashes --requirement requirements/run.lock
COPY pyproject.toml README.md ./
COPY service service
COPY sql sql
RUN pip install --no-cache-dir --no-deps --no-build-isolation . && useradd --system --create-home tidemark

USER tidemark
WORKDIR /home/tidemark
ENV TIDEMARK_HOST=0.0.0.0
EXPOSE 8080
HEALTHCHECK --interval=10s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8080/health/live')"]
CMD ["tidemark", "serve"]
