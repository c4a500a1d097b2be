{{/* Names, labels, images. */}}
{{- define "entrust.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "entrust.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "entrust.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "entrust.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* What pods are selected by; never changes within a release. Call with (dict "root" $ "component" "gateway"). */}}
{{- define "entrust.selector" -}}
app.kubernetes.io/name: {{ include "entrust.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "entrust.labels" -}}
{{ include "entrust.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: entrust
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "entrust.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "entrust.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Call with (dict "root" $ "image" .Values.gateway.image). */}}
{{- define "entrust.image" -}}
{{- $tag := default .root.Chart.AppVersion .image.tag -}}
{{ .image.repository }}:{{ $tag }}{{ with .image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "entrust.isSidecar" -}}
{{- if eq .Values.triton.placement "sidecar" }}true{{ end }}
{{- end }}

{{- define "entrust.sharesMemory" -}}
{{- if and (include "entrust.isSidecar" .) .Values.triton.sharedMemory.enabled }}true{{ end }}
{{- end }}

{{/* Series of this release in Prometheus, as the ServiceMonitor labels them. */}}
{{- define "entrust.series" -}}
namespace="{{ .Release.Namespace }}",service="{{ include "entrust.fullname" . }}-metrics"
{{- end }}

{{/* The claim of the archive's volume: a given one, or the chart's own. */}}
{{- define "entrust.archiveClaim" -}}
{{- default (printf "%s-archive" (include "entrust.fullname" .)) .Values.archive.existingClaim }}
{{- end }}
