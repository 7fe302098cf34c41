"""What people see: the page (`page`) with its `tabs`, and the `endpoints` that scripts call. The only place that
imports gradio; it never imports torch."""
