"""Expected prompts of continue_final_message: python text/open-ended.py, from the root of the repository."""
import datetime
import json
import os

import transformers.utils.chat_template_utils as templates

NOW = "2026-11-29T12:00:00"


class PinnedClock(datetime.datetime):
    """What `strftime_now` asks for the time."""

    @classmethod
    def now(cls, tz=None):
        return cls.fromisoformat(NOW)


templates.datetime = PinnedClock
render_jinja_template = templates.render_jinja_template
root = "test/golden/text/chat-templates"
out = []
for name in sorted(os.listdir(root)):
    path = f"{root}/{name}/template.jinja"
    if not os.path.exists(path): continue
    source = open(path).read()
    cases = json.load(open(f"{root}/{name}/cases.json"))
    cases = cases["cases"] if isinstance(cases, dict) and "cases" in cases else cases
    seen = set()
    contents = ["Sure, here is", "Sure, here is  ", "  It is", "He said <b>\n", "", "a", [{"type":"text","text":"One part"},{"type":"text","text":"and then "}]]
    base = [
      [{"role":"user","content":"Hello"}],
      [{"role":"system","content":"Be brief."},{"role":"user","content":"Hello"}],
      [{"role":"user","content":"Hello"},{"role":"assistant","content":"a, a"},{"role":"user","content":"More"}],
    ]
    for b in base:
        for content in contents:
            for role in ("assistant","user"):
                if role=="user" and b[-1]["role"]=="user" and content!="Sure, here is  ": continue
                if isinstance(content, list) and name not in ("everything", "header-blocks"): continue
                messages = b + [{"role":role,"content":content}]
                kwargs={}
                try:
                    rendered,_ = render_jinja_template(conversations=[json.loads(json.dumps(messages))], chat_template=source, continue_final_message=True, add_generation_prompt=False, bos_token="<s>", eos_token="</s>", **kwargs)
                    out.append({"template":name,"messages":messages,"expected":rendered[0]})
                except Exception as e:
                    out.append({"template":name,"messages":messages,"error":type(e).__name__})
import transformers
with open("test/golden-more/text/open-ended.json","w") as f:
    head = {"made": "render_jinja_template(…, continue_final_message=True, add_generation_prompt=False, bos_token='<s>', eos_token='</s>') over test/golden/text/chat-templates", "transformers": transformers.__version__, "now": NOW}
    f.write(json.dumps(head, ensure_ascii=False)[:-1] + ', "cases": [\n' + ",\n".join(json.dumps(o, ensure_ascii=False) for o in out) + "\n]}\n")

