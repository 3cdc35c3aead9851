"""Sentence vectors with LogisticRegression on top, its C searched for by cross-validation.

With sentence-transformers where it is installed, else mean pooling with transformers; the result says which.
"""

from pathlib import Path
from typing import Any

import datasets
import numpy as np
from sklearn.linear_model import LogisticRegressionCV

from benchmarks.scripts import common


def encoder(folder: str) -> tuple[Any, str]:
    """A function from texts to vectors ``[texts, hidden]``, and the name of its library."""
    try:
        from sentence_transformers import SentenceTransformer

        return SentenceTransformer(folder, device="cpu").encode, "sentence-transformers"
    except ImportError:
        pass
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()

    def encode(texts: list[str]) -> Any:
        found = []
        for start in range(0, len(texts), 32):
            batch = tokenizer(texts[start : start + 32], padding=True, truncation=True, return_tensors="pt")
            with torch.inference_mode():
                states = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(-1)
            found.append(((states * mask).sum(1) / mask.sum(1)).numpy())
        return np.concatenate(found)

    return encode, "transformers with mean pooling"


def main() -> None:
    """Encodes, searches and fits, and scores validation and test rows."""
    asked = common.parser(__doc__ or "").parse_args()
    facts = common.facts(asked.data)
    files = {split: str(asked.data / f"{split}.parquet") for split in ("train", "validation", "test")}
    rows = datasets.load_dataset("parquet", data_files=files)
    encode, library = encoder(asked.model)
    vectors = {name: encode(list(part[facts["text"][0]])) for name, part in rows.items()}
    gold = {name: np.asarray(part[facts["label"]]) for name, part in rows.items()}
    head = LogisticRegressionCV(Cs=10, cv=5, max_iter=1000, random_state=asked.seed)
    head.fit(vectors["train"], gold["train"])
    validation = float(head.score(vectors["validation"], gold["validation"]))
    Path(asked.output).mkdir(parents=True, exist_ok=True)
    np.savez(Path(asked.output) / "head.npz", weight=head.coef_, bias=head.intercept_)
    score = float(head.score(vectors["test"], gold["test"]))
    common.result(score=score, validation=validation, library=library, examples=len(gold["train"]))


if __name__ == "__main__":
    main()
