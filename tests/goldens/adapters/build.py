"""Writes this folder: python build.py, with transformers 5 and peft.

A LoRA adapter for each case of `../families` that is named below, as PEFT writes it, over every linear layer of the blocks (`mixtral`: of
attention, since PEFT does not reach experts by their names), and `logits.npy` [40, 97]: PEFT's own answer, float64 weights, to the tokens of
`../tiny_llama/tokens.npy`.
"""

import json
import pathlib
import shutil

import numpy as np
import peft
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
TOKENS = torch.tensor(np.load(HERE.parent / "tiny_llama" / "tokens.npy").astype(np.int64))[None]
ATTENTION = ["q_proj", "k_proj", "v_proj", "o_proj"]
CASES = {
    "gpt_neox": "all-linear", "falcon_7b": "all-linear", "falcon_40b": "all-linear", "bloom": "all-linear", "mpt": "all-linear",
    "gptj": "all-linear", "phi": "all-linear", "phi3": "all-linear", "glm": "all-linear", "granite": "all-linear",
    "mixtral": ATTENTION,
}

for name, modules in CASES.items():
    base = HERE.parent / "families" / name
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32, attn_implementation="eager")
    model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", r=2, lora_alpha=3, target_modules=modules))
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for key, parameter in sorted(model.named_parameters()):
            if "lora_" in key:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text()) | {"base_model_name_or_path": name}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1) + "\n")
    again = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float64, attn_implementation="eager")
    again.config.use_cache = False
    if name == "mixtral":
        again.set_experts_implementation("eager")
    with torch.no_grad():
        logits = PeftModel.from_pretrained(again, folder).double().eval()(TOKENS).logits[0].numpy()
    np.save(folder / "logits.npy", logits.astype(np.float32))
    gap = np.abs(logits - np.load(base / "logits.npy")).max()
    print(f"{name}: max |Δlogit| to the model alone {gap:.2f}")

versions = {"torch": torch.__version__, "transformers": transformers.__version__, "peft": peft.__version__}
(HERE / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")
