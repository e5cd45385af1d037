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
{{- with .Values.store.url }}{{ $_ := set $config "store" . }}{{ end -}}
{{- if .Values.store.existingClaim }}{{ $_ := set $config "store" "/store" }}{{ end -}}
{{- if .Values.keys.existingSecret }}{{ $_ := set $config "keys" "/etc/mosara-keys/keys.json" }}{{ end -}}
{{- toYaml $config -}}
{{- end -}}

{{/* The variables by which a server reaches the store, before those of the user. */}}
{{- define "mosara.env" -}}
{{- $store := .Values.store -}}
{{- if and $store.url $store.existingClaim }}
{{- fail "store.url and store.existingClaim are both set. Wanted: one of them." }}
{{- end -}}
{{- if and $store.existingSecret $store.webIdentity.roleArn }}
{{- fail "store.existingSecret and store.webIdentity.roleArn are both set. Wanted: one of them." }}
{{- end -}}
{{- with $store.region }}
- { name: AWS_REGION, value: {{ . | quote }} }
{{- end }}
{{- with $store.endpoint }}
- { name: AWS_ENDPOINT_URL_S3, value: {{ . | quote }} }
{{- end }}
{{- if $store.existingSecret }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" }}
- name: {{ . }}
  valueFrom: { secretKeyRef: { name: {{ $store.existingSecret }}, key: {{ . }} } }
{{- end }}
{{- end }}
{{- with $store.webIdentity }}
{{- if .roleArn }}
- { name: AWS_ROLE_ARN, value: {{ .roleArn | quote }} }
- { name: AWS_WEB_IDENTITY_TOKEN_FILE, value: /var/run/secrets/mosara-store/token }
{{- with .endpoint }}
- { name: AWS_ENDPOINT_URL_STS, value: {{ . | quote }} }
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}
