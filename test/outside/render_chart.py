"""Renders deploy/helm/mosara with the values on stdin, and checks each manifest with Kubernetes' own JSON schemas.

Helm's official SDK (PyPI helm-python-sdk) renders, kubernetes-validate (PyPI) has the schemas. Prints one JSON object:
lint messages, and for each manifest its content and what the schemas of each version say (null: no such kind).
"""
import json
import sys

import helm_python
import kubernetes_validate
import yaml


def verdict(manifest, version):
    try:
        kubernetes_validate.validate(manifest, version, strict=True)
        return "valid"
    except kubernetes_validate.ValidationError as error:
        return f"{'.'.join(str(part) for part in error.path)}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError:
        return None


def main():
    path, versions = sys.argv[1], sys.argv[2:]
    values = json.load(sys.stdin)
    lint = helm_python.lint(path, values, strict=True)
    with helm_python.Chart.load(path) as chart:
        texts = chart.render(values, name="prod", namespace="models")
    manifests = [
        {"content": manifest, "verdicts": {version: verdict(manifest, version) for version in versions}}
        for name, text in texts.items()
        if name.endswith(".yaml")
        for manifest in yaml.safe_load_all(text)
        if manifest is not None
    ]
    json.dump({"lint": lint, "manifests": manifests}, sys.stdout)


main()
