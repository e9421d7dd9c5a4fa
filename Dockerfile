# docker build -t prunescope . && docker run --rm -p 8501:8501 -v prunescope:/workspace prunescope
FROM python:3.11-slim

RUN useradd --create-home prunescope && install --directory --owner prunescope /workspace
COPY . /source
# The processor build of torch; the versions are those that the tests run with.
RUN pip install --no-cache-dir --constraint /source/constraints.txt \
        --extra-index-url https://download.pytorch.org/whl/cpu "/source[onnx]" \
    && rm -rf /source

USER prunescope
WORKDIR /workspace
ENV PRUNESCOPE_WORKSPACE=/workspace
EXPOSE 8501
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health', timeout=5)"]
CMD ["prunescope", "serve", "--host", "0.0.0.0", "--port", "8501"]
