"""python ask-transformers.py [kind …]: fills in what transformers (5.24.0) knows of the cases' `right`."""
import json
import pathlib
import shutil
import sys
import tempfile

from transformers import AutoTokenizer

CASES = pathlib.Path(__file__).parent
MODELS = CASES.parent / "models"
TEXTS = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")


def edit(path, change):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(change, str):
        path.write_text(change, encoding="utf8")
        return
    data = json.loads(path.read_text()) if path.exists() else {}
    data.update(change.get("set", {}))
    for key in change.get("unset", []):
        data.pop(key, None)
    path.write_text(json.dumps(data, indent=1))


def write_checkpoint(spec, out):
    for name in TEXTS:
        source = MODELS / spec["from"] / name
        if source.exists() and name not in spec.get("drop", []):
            shutil.copy(source, out)
    for name, change in spec.get("files", {}).items():
        edit(out / name, change)


def ask(case):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_checkpoint(case["checkpoint"], folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        right = {}
        if "messages" in case["ask"]:
            prompt = tokenizer.apply_chat_template(
                case["ask"]["messages"], tools=case["ask"].get("tools"), tokenize=False, add_generation_prompt=True
            )
            right["prompt"] = prompt
            right["promptIds"] = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        if "text" in case["ask"]:
            right["ids"] = tokenizer(case["ask"]["text"])["input_ids"]
        right["eos"] = tokenizer.eos_token
        return right


def ask_line(case):
    """The text and ids of the messages that a training line stands for; what of it is learnt, its format's documentation says."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        write_checkpoint(case["checkpoint"], folder)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        text = tokenizer.apply_chat_template(
            case["messages"], tools=case.get("tools"), tokenize=False, **case.get("kwargs", {})
        )
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        return {**case["right"], "text": text, "ids": ids}


ASK = {"prompt": ask, "training-line": ask_line}


def main(kinds):
    for path in sorted(CASES.glob("*/*/case.json")):
        case = json.loads(path.read_text())
        if case.get("check") not in ASK or (kinds and path.parent.parent.name not in kinds):
            continue
        if "refused" in case.get("right", {}):
            continue
        case["right"] = ASK[case["check"]](case)
        path.write_text(json.dumps(case, indent=1) + "\n")
        print(path.relative_to(CASES), json.dumps(case["right"])[:150])


main(sys.argv[1:])
