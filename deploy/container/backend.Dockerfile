# A sample backend for compose.yaml.
FROM python:3.13-slim-bookworm
RUN pip install --no-cache-dir websockets==17.4
COPY backend.py /backend.py
USER 65532:65532
ENTRYPOINT ["python3", "/backend.py"]
