"""A residual multilayer perceptron for states that are points instead of images.

h = dense(u, sin(2^j u), cos(2^j u))        j < num_frequencies
h = h + dense(dropout(act(dense(act(h)) + dense(act(temb)))))        num_res_blocks times
out = dense(act(h))

The sines let it follow details that are small beside the whole, which perceptrons learn late (arXiv:2006.10739).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from linnet import registry
from linnet.models.checks import check_labels, present
from linnet.models.embeddings import EMBEDDINGS, embed_labels, time_mlp
from linnet.models.layers import ACTIVATIONS, DTYPES, Dropout, default_init, dropout_keys

OPTIONS = {"embedding_type": EMBEDDINGS, "nonlinearity": tuple(ACTIVATIONS), "dtype": DTYPES}


class MLP(nn.Module):
    """(u, label) -> array of the shape of u, float32, for u of shape (B, k D).

    Attributes:
      nf: width of the hidden layers; num_res_blocks: number of residual blocks.
      embedding_type: "fourier" embeds log(label) with frequencies of deviation `fourier_scale`,
        "positional" the label.
      num_frequencies: of sines of the input; 0: none.
      concat: whether a second point, `context`, is stacked onto the input.
      dtype: dtype of the matrix products; parameters and output are float32.
    """

    nf: int = 128
    num_res_blocks: int = 3
    embedding_type: str = "positional"
    fourier_scale: float = 16.0
    num_frequencies: int = 0
    dropout: float = 0.0
    nonlinearity: str = "swish"
    concat: bool = False
    dtype: str = "float32"

    def __post_init__(self):
        for field, allowed in OPTIONS.items():
            registry.check(allowed, getattr(self, field), f"config.model.{field}")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: jax.Array, time_label: jax.Array, train: bool | jax.Array = False, context=None) -> jax.Array:
        """x (B, D), time_label (B,) -> (B, D) float32; train: False, or one key per example (B,): dropout.

        context (B, D'): for networks with `concat`.
        """
        if x.ndim != 2:
            raise ValueError(f"MLP: expects points of shape (B, D), got {x.shape}; for images use ncsnpp or ddpm")
        check_labels("MLP", x, time_label)
        act = ACTIVATIONS[self.nonlinearity]
        embedding = embed_labels(time_label, self.embedding_type, self.nf, self.fourier_scale)
        temb = act(time_mlp(embedding, self.nf, act, self.dtype))
        seen = x
        if self.concat:
            seen = jnp.concatenate([x, present("MLP", "context", context, x, self.is_initializing())], axis=-1)
        waves = [wave(2.0**j * seen) for j in range(self.num_frequencies) for wave in (jnp.sin, jnp.cos)]
        h = self._dense(self.nf)(jnp.concatenate([seen, *waves], axis=-1))
        for _ in range(self.num_res_blocks):
            branch = act(self._dense(self.nf)(act(h)) + self._dense(self.nf)(temb))
            branch = Dropout(self.dropout)(branch, dropout_keys(train, self.dropout))
            h = h + self._dense(self.nf)(branch)
        out = nn.Dense(x.shape[-1], kernel_init=default_init(0.0), dtype=jnp.float32)
        return out(act(h).astype(jnp.float32))

    @nn.nowrap
    def _dense(self, features):
        return nn.Dense(features, kernel_init=default_init(), dtype=self.dtype)
