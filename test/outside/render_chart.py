"""Renders deploy/helm/mosara with each of the named values on stdin, and checks all manifests with Kubernetes' own schemas.

Helm's official SDK (PyPI helm-python-sdk) renders, kubernetes-validate (PyPI) has the schemas. Prints one JSON object.
For each name it has lint messages, and for each manifest its content and what the schemas of each version say (null: no
such kind). Where the chart refuses the values, it has the refusal.
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


def rendered(path, values, versions):
    lint = helm_python.lint(path, values, strict=True)
    try:
        with helm_python.Chart.load(path) as chart:
            texts = chart.render(values, name="prod", namespace="models")
    except Exception as error:  # of Helm, such as a template's `fail`
        return {"refusal": str(error)}
    manifests = [
        {"content": manifest, "verdicts": {version: verdict(manifest, version) for version in versions}}
        for name, text in texts.items()
        if name.endswith(".yaml")
        for manifest in yaml.safe_load_all(text)
        if manifest is not None
    ]
    return {"lint": lint, "manifests": manifests}


def main():
    path, versions = sys.argv[1], sys.argv[2:]
    cases = json.load(sys.stdin)
    json.dump({name: rendered(path, values, versions) for name, values in cases.items()}, sys.stdout)


main()
