{{- define "petit.fullname" -}}
{{- if contains "petit" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}{{ printf "%s-petit" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "petit.selectorLabels" -}}
app.kubernetes.io/name: petit
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "petit.labels" -}}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{ include "petit.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "petit.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "petit.fullname" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "petit.config" -}}
listen: "0.0.0.0:50051"
metrics_listen: "0.0.0.0:9464"
model_root: "/var/lib/petit/models"
drain_timeout_seconds: {{ .Values.drainTimeoutSeconds }}
{{- if .Values.jobs.enabled }}
jobs {
  root: "/var/lib/petit/jobs"
  data_root: "/var/lib/petit/data"
  {{ .Values.jobs.config }}
}
{{- end }}
{{ .Values.config }}
{{- end }}

{{- define "petit.image" -}}
{{ printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) | quote }}
{{- end }}
