package diagnose

func (e *engine) fixes(d *Document) {}
