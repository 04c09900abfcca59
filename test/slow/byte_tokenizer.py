"""A tokenizer of single bytes named pdjob/bytes, where Hugging Face's libraries look for what they downloaded."""

import sys
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

REVISION = "0" * 40
folder = Path(sys.argv[1]) / "models--pdjob--bytes"

bytes_as_text = sorted(pre_tokenizers.ByteLevel.alphabet())
vocabulary = {text: index for index, text in enumerate([*bytes_as_text, "<end>"])}
tokenizer = Tokenizer(models.BPE(vocabulary, []))
tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
tokenizer.decoder = decoders.ByteLevel()
snapshot = folder / "snapshots" / REVISION
PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>").save_pretrained(snapshot)
(folder / "refs").mkdir()
(folder / "refs" / "main").write_text(REVISION)
