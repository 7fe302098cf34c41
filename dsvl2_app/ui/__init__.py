"""What people see: the page (`layout`) with its tabs (`chat`, `grounding`, `tiles`) and the endpoints of the same
names. The only place that imports gradio; it never imports torch."""
