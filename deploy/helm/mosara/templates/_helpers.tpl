{{- define "mosara.fullname" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mosara.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "mosara.labels" -}}
{{ include "mosara.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{/* The settings that the chart decides, over those of the user. The image sets host, port and data. */}}
{{- define "mosara.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- with .Values.model.path }}{{ $_ := set $config "model" . }}{{ end -}}
{{- if .Values.adapters.existingClaim }}{{ $_ := set $config "adapters" "/adapters" }}{{ end -}}
{{- if .Values.keys.existingSecret }}{{ $_ := set $config "keys" "/etc/mosara-keys/keys.json" }}{{ end -}}
{{- toYaml $config -}}
{{- end -}}
