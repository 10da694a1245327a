#!/usr/bin/env python3
"""Writes losses and gradients of one batch by Hugging Face's T5 and autograd: gradients.json beside this script.

Made with transformers 4.57.6, torch 2.11.0 (CPU):
    python make_gradient_goldens.py

Of each parameter's gradient it keeps the norm and 24 elements spread evenly.
"""

import json
import pathlib

import torch
import torch.nn.functional as F
from transformers import T5ForConditionalGeneration

HERE = pathlib.Path(__file__).resolve().parent
TINY = HERE.parent / "tiny"
DISTRIBUTION = 340  # pieces and sentinels: the ids that KL is over
SAMPLES = 24


def ids(count, seed):
    """Ordinary pieces, the same in every version of torch."""
    out, x = [], seed
    for _ in range(count - 1):
        x = (1103515245 * x + 12345) % (1 << 31)
        out.append(3 + (x >> 16) % 237)
    return out + [1]


SOURCES = [ids(9, 1), ids(23, 2), ids(40, 3), ids(1, 4)]
TARGETS = [ids(12, 5), ids(5, 6), ids(31, 7), ids(2, 8)]


def padded(rows, value):
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def run(model, labels):
    sources = padded(SOURCES, 0)
    mask = padded([[1] * len(row) for row in SOURCES], 0)
    return model(input_ids=sources, attention_mask=mask, labels=labels, output_hidden_states=True), mask


def case(teacher_name, student_name, alpha, temperature, reverse, smoothing, hidden, top_k):
    teacher = T5ForConditionalGeneration.from_pretrained(TINY / teacher_name, torch_dtype=torch.float32).eval()
    student = T5ForConditionalGeneration.from_pretrained(TINY / student_name, torch_dtype=torch.float32).eval()
    labels = padded(TARGETS, -100)
    with torch.no_grad():
        taught, _ = run(teacher, labels)
    learned, mask = run(student, labels)
    chosen = labels.flatten() != -100
    y = labels.flatten()[chosen]
    z = learned.logits.flatten(0, 1)[chosen]
    t = taught.logits.flatten(0, 1)[chosen][:, :DISTRIBUTION]
    ce = F.cross_entropy(z, y)
    smoothed = F.cross_entropy(z, y, label_smoothing=smoothing)
    log_p = F.log_softmax(t / temperature, -1)
    log_q = F.log_softmax(z[:, :DISTRIBUTION] / temperature, -1)
    if top_k:
        top = log_p.topk(top_k, -1)
        rest = torch.ones_like(log_p, dtype=torch.bool).scatter(1, top.indices, False)
        fold = lambda x: torch.cat([x.gather(1, top.indices),
                                    x.masked_fill(~rest, -torch.inf).logsumexp(-1, keepdim=True)], -1)
        log_p, log_q = fold(log_p), fold(log_q)
    if reverse:
        kl = (log_q.exp() * (log_q - log_p)).sum(-1).mean()
    else:
        kl = (log_p.exp() * (log_p - log_q)).sum(-1).mean()
    difference = (learned.encoder_last_hidden_state - taught.encoder_last_hidden_state)[mask.bool()]
    hidden_loss = difference.square().mean()
    loss = alpha * temperature ** 2 * kl + (1 - alpha) * smoothed + hidden * hidden_loss
    loss.backward()
    gradients = {}
    for name, parameter in student.named_parameters():
        flat = parameter.grad.flatten()
        indices = [i * (flat.numel() - 1) // (SAMPLES - 1) for i in range(SAMPLES)]
        gradients[name] = {"norm": float(f"{flat.norm().item():.7g}"), "max": float(f"{flat.abs().max().item():.7g}"),
                           "values": [float(f"{flat[i].item():.7g}") for i in indices]}
    return {"teacher": teacher_name, "student": student_name, "alpha": alpha, "temperature": temperature,
            "reverse": reverse, "smoothing": smoothing, "hidden": hidden, "top_k": top_k,
            "cross_entropy": ce.item(), "kl": kl.item(), "hidden_loss": hidden_loss.item(), "loss": loss.item(),
            "gradients": gradients}


def main():
    cases = [case("v1_0", "v1_1", 0.5, 2.0, False, 0.0, 0.0, 0), case("v1_1", "v1_0", 0.25, 1.0, False, 0.1, 0.0, 0),
             case("v1_0", "v1_1", 0.75, 3.0, True, 0.0, 0.5, 0), case("v1_0", "v1_1", 1.0, 2.0, False, 0.0, 0.0, 16),
             case("v1_0", "v1_1", 0.5, 1.5, True, 0.0, 0.0, 16), case("v1_0", "v1_0", 0.0, 1.0, False, 0.0, 0.0, 0)]
    golden = {"sources": SOURCES, "targets": TARGETS, "distribution": DISTRIBUTION, "cases": cases}
    (HERE / "gradients.json").write_text(json.dumps(golden, indent=0) + "\n")


main()
