SELECT EXISTS (SELECT 1 FROM jobs WHERE status = 'succeeded' AND lost_attempts > 0)
  AND EXISTS (SELECT 1 FROM deployments d JOIN regions r
    WHERE d.status = 'succeeded' AND instr(d.converged, r.name) = 0)
