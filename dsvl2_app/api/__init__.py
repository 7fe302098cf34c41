"""The OpenAI protocol beside the page: /v1/chat/completions and /v1/models, over the same backend."""
