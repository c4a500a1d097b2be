{{/* The gateway's environment: every setting is one variable. */}}

{{/* A value as the gateway reads it. YAML's numbers arrive as floats, and 2147483648 must not become 2.147484e+09. */}}
{{- define "entrust.settingValue" -}}
{{- if kindIs "float64" . -}}
{{- if eq . (floor .) }}{{ printf "%.0f" . }}{{ else }}{{ printf "%v" . }}{{ end }}
{{- else if kindIs "slice" . -}}
{{- toJson . }}
{{- else -}}
{{- printf "%v" . }}
{{- end -}}
{{- end }}

{{/* Call with (dict "prefix" "ENTRUST" "values" .Values.settings). */}}
{{- define "entrust.settings" -}}
{{- $separator := eq .prefix "ENTRUST" | ternary "_" "__" -}}
{{- range $name, $value := .values }}
{{- $variable := printf "%s%s%s" $.prefix $separator (upper $name) }}
{{- if kindIs "map" $value }}
{{- include "entrust.settings" (dict "prefix" $variable "values" $value) }}
{{- else if not (kindIs "invalid" $value) }}
- name: {{ $variable }}
  value: {{ include "entrust.settingValue" $value | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* A variable that holds the name of the pod. */}}
{{- define "entrust.podName" -}}
- name: {{ . }}
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}

{{- define "entrust.gatewayEnv" -}}
- name: HOME
  value: /tmp
- name: MPLCONFIGDIR
  value: /tmp/matplotlib
- name: PYTHONDONTWRITEBYTECODE
  value: "1"
- name: ENTRUST_REST__HOST
  value: 0.0.0.0
- name: ENTRUST_REST__PORT
  value: "8080"
- name: ENTRUST_RPC__ENABLED
  value: {{ .Values.rpc.enabled | quote }}
{{- if .Values.rpc.enabled }}
- name: ENTRUST_RPC__HOST
  value: 0.0.0.0
- name: ENTRUST_RPC__PORT
  value: {{ .Values.rpc.port | quote }}
{{- end }}
- name: ENTRUST_TRITON__URL
  value: {{ include "entrust.tritonAddress" . }}
- name: ENTRUST_TRITON__SHARED_MEMORY
  value: {{ eq (include "entrust.sharesMemory" .) "true" | ternary "auto" "off" | quote }}
- name: ENTRUST_JOBS__WORK_FOLDER
  value: /var/lib/entrust/work
- name: ENTRUST_JOBS__RESULTS_FOLDER
  value: /var/lib/entrust/work/results
{{- if .Values.archive.enabled }}
- name: ENTRUST_ARCHIVE__FOLDER
  value: /var/lib/entrust/archive
{{- end }}
{{- if .Values.dimse.enabled }}
- name: ENTRUST_DIMSE__ENABLED
  value: "true"
- name: ENTRUST_DIMSE__HOST
  value: 0.0.0.0
- name: ENTRUST_DIMSE__PORT
  value: {{ .Values.dimse.port | quote }}
{{- end }}
{{- if dig "traces" "endpoint" "" .Values.settings }}
{{ include "entrust.podName" "ENTRUST_TRACES__INSTANCE" }}
{{- end }}
{{- include "entrust.settings" (dict "prefix" "ENTRUST" "values" .Values.settings) }}
{{- range .Values.secretSettings }}
- name: {{ .setting }}
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .key }}
{{- end }}
{{- with .Values.gateway.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The scheme of the gateway's addresses. */}}
{{- define "entrust.scheme" -}}
{{- if dig "tls" "client_ca_file" "" .Values.settings }}
{{- fail "settings.tls.client_ca_file: the kubelet and Prometheus have no client certificate; let a proxy in front ask for it" }}
{{- end }}
{{- dig "tls" "certificate_file" "" .Values.settings | empty | ternary "http" "https" }}
{{- end }}

{{/* How long running jobs get after a stop signal: the setting, or the gateway's own default. */}}
{{- define "entrust.graceSeconds" -}}
{{- dig "rest" "shutdown_grace_seconds" 10 .Values.settings | ceil | int }}
{{- end }}
