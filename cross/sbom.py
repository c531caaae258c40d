"""Reads `cargo metadata` and writes what an executable is made of: a CycloneDX list and the texts of the licences.

usage: cargo metadata --format-version 1 --filter-platform TRIPLE | sbom.py BOM.json LICENSES.txt

Crates that only build or test are left out: they are in no executable. Same input, same bytes."""

import json
import pathlib
import sys

TEXTS = ("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE")


def linked(metadata):
    """The packages that are linked into the executable, the root first, the others by name and version."""
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    packages = {package["id"]: package for package in metadata["packages"]}
    root = metadata["resolve"]["root"]
    reached, waiting = {root}, [root]
    while waiting:
        for dependency in nodes[waiting.pop()]["deps"]:
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            runs_in_compiler = any("proc-macro" in target["kind"] for target in packages[dependency["pkg"]]["targets"])
            if normal and not runs_in_compiler and dependency["pkg"] not in reached:
                reached.add(dependency["pkg"])
                waiting.append(dependency["pkg"])
    others = sorted((packages[one] for one in reached - {root}), key=lambda one: (one["name"], one["version"]))
    return packages[root], others, nodes


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def component(package, kind):
    described = {
        "type": kind,
        "bom-ref": reference(package),
        "name": package["name"],
        "version": package["version"],
        "purl": reference(package),
    }
    if package["license"]:
        # Cargo once let "/" stand for "or".
        described["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    return described


def bill(root, others, nodes):
    inside = {package["id"]: package for package in [root, *others]}
    graph = []
    for identifier, package in inside.items():
        depends = sorted({reference(inside[one]) for one in nodes[identifier]["dependencies"] if one in inside})
        graph.append({"ref": reference(package), "dependsOn": depends})
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(root, "application")},
        "components": [component(package, "library") for package in others],
        "dependencies": sorted(graph, key=lambda one: one["ref"]),
    }


def texts(package):
    """The files of a crate that say under which licence it comes, by name."""
    folder = pathlib.Path(package["manifest_path"]).parent
    files = (file for file in folder.iterdir() if file.is_file() and file.name.upper().startswith(TEXTS))
    return sorted(files, key=lambda file: file.name)


def licences(root, others):
    yield f"{root['name']} {root['version']} is made of these crates.\n"
    for package in others:
        yield f"\n{'=' * 100}\n{package['name']} {package['version']}: {package['license'] or 'see below'}\n"
        if package["authors"]:
            yield f"by {', '.join(package['authors'])}\n"
        for file in texts(package):
            yield f"\n--- {file.name}\n{file.read_text(encoding='utf-8', errors='replace').strip()}\n"


def main(bom, text):
    root, others, nodes = linked(json.load(sys.stdin))
    with open(bom, "w", encoding="utf-8") as out:
        json.dump(bill(root, others, nodes), out, indent=1)
        out.write("\n")
    with open(text, "w", encoding="utf-8") as out:
        out.writelines(licences(root, others))


if __name__ == "__main__":
    main(*sys.argv[1:])
