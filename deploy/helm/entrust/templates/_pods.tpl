{{/* What every pod and container of this chart has in common. */}}
{{- define "entrust.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.identity.runAsUser }}
runAsGroup: {{ .Values.identity.runAsGroup }}
fsGroup: {{ .Values.identity.runAsGroup }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "entrust.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Call with (dict "root" $ "of" .Values.gateway). A Service named after the release would otherwise put variables
     such as ENTRUST_PORT into the pods, which the gateway takes for misspelt settings: no service links. */}}
{{- define "entrust.podDefaults" -}}
serviceAccountName: {{ include "entrust.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- include "entrust.podSecurity" .root | nindent 2 }}
{{- with .of.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .of.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Nodes: in a pod that has Triton inside, Triton's wishes count as well. Call with (dict "root" $ "groups" list). */}}
{{- define "entrust.nodes" -}}
{{- $selector := dict }}
{{- $tolerations := list }}
{{- $runtime := "" }}
{{- range .groups }}
{{- $selector = merge $selector .nodeSelector }}
{{- $tolerations = concat $tolerations .tolerations }}
{{- if hasKey . "runtimeClassName" }}{{ $runtime = .runtimeClassName }}{{ end }}
{{- end }}
{{- with $selector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $runtime }}
runtimeClassName: {{ . }}
{{- end }}
{{- end }}
