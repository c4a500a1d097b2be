{{/* Triton's container, the same in the gateway's pod and in one of its own. */}}
{{- define "entrust.tritonAddress" -}}
{{- if include "entrust.isSidecar" . -}}
127.0.0.1:8001
{{- else -}}
{{ include "entrust.fullname" . }}-triton:8001
{{- end }}
{{- end }}

{{- define "entrust.modelsAreMade" -}}
{{- if or .Values.triton.tensorrt.enabled (and (eq .Values.triton.models.source "image") .Values.triton.models.image) }}true{{ end }}
{{- end }}

{{- define "entrust.tritonArgs" -}}
- /opt/entrust/start.sh
- {{ eq (include "entrust.sharesMemory" .) "true" | ternary "shared" "plain" }}
{{- range .Values.triton.command }}
- {{ . | quote }}
{{- end }}
{{- if and (eq .Values.triton.models.source "s3") (not .Values.triton.tensorrt.enabled) }}
- --model-repository={{ required "triton.models.s3.url is needed with source s3" .Values.triton.models.s3.url }}
{{- else }}
- --model-repository={{ .Values.triton.models.path }}
{{- end }}
- --backend-directory={{ .Values.triton.backendDirectory }}
- --model-control-mode=none
- --strict-readiness=true
- --disable-auto-complete-config
- --exit-timeout-secs={{ .Values.triton.exitSeconds }}
- --backend-config=python,shm-region-prefix-name=entrust_triton
- --grpc-address={{ eq (include "entrust.isSidecar" .) "true" | ternary "127.0.0.1" "0.0.0.0" }}
- --grpc-port=8001
- --http-address=127.0.0.1
- --http-port=8000
- --metrics-address=0.0.0.0
- --metrics-port=8002
- --metrics-config=summary_latencies=true
{{- if not .Values.triton.gpu.count }}
- --allow-gpu-metrics=false
- --cuda-memory-pool-byte-size=0:0
- --pinned-memory-pool-byte-size=0
{{- end }}
{{- with dig "traces" "endpoint" "" .Values.settings }}
{{- $service := dig "traces" "service" "entrust-serve" $.Values.settings }}
- --trace-config=mode=opentelemetry
- --trace-config=level=TIMESTAMPS
- --trace-config=rate=0  # only what a gateway traces
- --trace-config=opentelemetry,url={{ trimSuffix "/" . }}/v1/traces
- --trace-config=opentelemetry,resource=service.name={{ $service }}-triton
- --trace-config=opentelemetry,resource=service.instance.id=$(POD_NAME)
- --trace-config=opentelemetry,bsp_schedule_delay=2000
{{- end }}
{{- range .Values.triton.extraArgs }}
- {{ . | quote }}
{{- end }}
{{- end }}

{{/* Probes run inside the container, so that HTTP may stay on the loopback address. */}}
{{- define "entrust.tritonProbe" -}}
exec:
  command: [python3, -I, -S, /opt/entrust/probe.py, {{ . }}, "127.0.0.1:8000", /opt/entrust/canaries.json]
timeoutSeconds: 10
{{- end }}

{{- define "entrust.tritonResources" -}}
{{- $resources := deepCopy .resources }}
{{- if .gpu.count }}
{{- $limits := merge (dict .gpu.resource .gpu.count) (default dict $resources.limits) }}
{{- $resources = merge (dict "limits" $limits) $resources }}
{{- end }}
{{- toYaml $resources }}
{{- end }}

{{- define "entrust.triton" -}}
{{- $triton := .Values.triton -}}
name: triton
image: {{ include "entrust.image" (dict "root" . "image" $triton.image) }}
imagePullPolicy: {{ $triton.image.pullPolicy }}
{{- if include "entrust.isSidecar" . }}
restartPolicy: Always
{{- end }}
command: [/bin/sh]
args:
  {{- include "entrust.tritonArgs" . | nindent 2 }}
env:
  - name: HOME
    value: /tmp
  - name: PYTHONDONTWRITEBYTECODE
    value: "1"
  {{- if dig "traces" "endpoint" "" .Values.settings }}
  - name: OTEL_EXPORTER_OTLP_TRACES_TIMEOUT  # a collector that hangs must not hold up the pod's end
    value: 1500ms
  {{- include "entrust.podName" "POD_NAME" | nindent 2 }}
  {{- end }}
  {{- if eq $triton.models.source "s3" }}
  {{- with $triton.models.s3.region }}
  - name: AWS_DEFAULT_REGION
    value: {{ . }}
  {{- end }}
  {{- with $triton.models.s3.secretName }}
  {{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
  - name: {{ . }}
    valueFrom:
      secretKeyRef:
        name: {{ $triton.models.s3.secretName }}
        key: {{ . }}
  {{- end }}
  {{- end }}
  {{- end }}
ports:
  - name: triton-grpc
    containerPort: 8001
  - name: triton-metrics
    containerPort: 8002
startupProbe:
  {{- include "entrust.tritonProbe" "startup" | nindent 2 }}
  periodSeconds: 5
  failureThreshold: {{ div (add $triton.startupSeconds 4) 5 }}
readinessProbe:
  {{- include "entrust.tritonProbe" "ready" | nindent 2 }}
  periodSeconds: 10
  failureThreshold: 2
livenessProbe:
  {{- include "entrust.tritonProbe" "live" | nindent 2 }}
  periodSeconds: 5
  failureThreshold: 2
resources:
  {{- include "entrust.tritonResources" $triton | nindent 2 }}
securityContext:
  {{- include "entrust.containerSecurity" . | nindent 2 }}
volumeMounts:
  - name: triton-files
    mountPath: /opt/entrust
    readOnly: true
  - name: shared-memory
    mountPath: /dev/shm
  - name: triton-temporary
    mountPath: /tmp
  {{- if include "entrust.modelsAreMade" . }}
  - name: models
    mountPath: {{ $triton.models.path }}
    readOnly: true
  {{- else if eq $triton.models.source "pvc" }}
  - name: models
    mountPath: {{ $triton.models.path }}
    readOnly: true
    {{- with $triton.models.pvc.subPath }}
    subPath: {{ . }}
    {{- end }}
  {{- end }}
{{- end }}

{{/* Containers that make the model repository before Triton starts. */}}
{{- define "entrust.modelContainers" -}}
{{- $triton := .Values.triton -}}
{{- if $triton.tensorrt.enabled }}
- name: build-plans
  image: {{ include "entrust.image" (dict "root" . "image" $triton.tensorrt.image) }}
  imagePullPolicy: {{ $triton.tensorrt.image.pullPolicy }}
  # the exporter writes its report of parity beside the weights, and the image's own folder cannot be written to
  command: [/bin/sh, -ec]
  args:
    - >-
      cp -R /weights /tmp/weights &&
      exec python -m export --target tensorrt{{ with $triton.tensorrt.task }} --task {{ . }}{{ end }}
      --weights /tmp/weights --out {{ $triton.models.path }}
  env:
    - name: HOME
      value: /tmp
    - name: PYTHONDONTWRITEBYTECODE
      value: "1"
  resources:
    {{- include "entrust.tritonResources" (dict "resources" $triton.tensorrt.resources "gpu" $triton.gpu) | nindent 4 }}
  securityContext:
    {{- include "entrust.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - name: models
      mountPath: {{ $triton.models.path }}
    - name: triton-temporary
      mountPath: /tmp
{{- else if include "entrust.modelsAreMade" . }}
- name: copy-models
  image: {{ include "entrust.image" (dict "root" . "image" $triton.models.image) }}
  imagePullPolicy: {{ $triton.models.image.pullPolicy }}
  command: [/bin/sh, -ec]
  args: ["cp -R {{ $triton.models.path }}/. /models-copy/"]
  resources:
    requests: {cpu: 100m, memory: 64Mi}
    limits: {memory: 256Mi}
  securityContext:
    {{- include "entrust.containerSecurity" . | nindent 4 }}
  volumeMounts:
    - name: models
      mountPath: /models-copy
{{- end }}
{{- end }}

{{- define "entrust.tritonVolumes" -}}
- name: triton-files
  configMap:
    name: {{ include "entrust.fullname" . }}-triton
# python backends talk to Triton through it, with or without the gateway
- name: shared-memory
  emptyDir:
    medium: Memory
    sizeLimit: {{ .Values.triton.sharedMemory.sizeLimit }}
- name: triton-temporary
  emptyDir:
    sizeLimit: 4Gi
{{- if include "entrust.modelsAreMade" . }}
- name: models
  emptyDir:
    sizeLimit: 8Gi
{{- else if eq .Values.triton.models.source "pvc" }}
- name: models
  persistentVolumeClaim:
    claimName: {{ required "triton.models.pvc.claimName is needed with source pvc" .Values.triton.models.pvc.claimName }}
    readOnly: true
{{- end }}
{{- end }}

{{/* Replaces pods when the scripts that they mount change. */}}
{{- define "entrust.tritonChecksum" -}}
{{- printf "%s%s%s" (.Files.Get "files/triton/start.sh") (.Files.Get "files/triton/probe.py") (.Files.Get "files/canaries.json") | sha256sum | trunc 16 }}
{{- end }}
