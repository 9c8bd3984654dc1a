extension Console {
    static let page = """
        <!doctype html>
        <html lang="en">
        <head>
          <meta charset="utf-8">
          <meta name="viewport" content="width=device-width, initial-scale=1">
          <title>Drover</title>
          <link rel="stylesheet" href="/console.css">
          <script src="/console.js" defer></script>
        </head>
        <body>
          <header><h1>Drover</h1><p id="head" role="status">connecting</p></header>
          <p id="claims" class="failed" role="alert"></p>
          <main>
            <section><h2>Targets</h2><div id="targets"></div></section>
            <section><h2>Builds</h2><div id="builds"></div></section>
            <section><h2>Jobs</h2><div id="jobs"></div></section>
            <section><h2>Regions</h2><div id="regions"></div></section>
          </main>
          <p id="note" role="alert"></p>
        </body>
        </html>
        """

    static let style = """
        :root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --busy: #9a6700; }
        @media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #f85149; --busy: #d29922; } }
        body { font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 72rem; padding: 1rem 1.5rem 4rem; }
        header { display: flex; align-items: baseline; gap: 1rem; border-bottom: 1px solid var(--line); }
        h1 { font-size: 1.4rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem; }
        #head { opacity: .7; }
        div { overflow-x: auto; }
        table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
        th, td { text-align: left; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); white-space: nowrap; }
        th { font-weight: 600; opacity: .7; }
        .succeeded, .complete, .live, .healthy { color: var(--good); }
        .failed, .gone, .removed { color: var(--bad); }
        .queued, .running, .partial, .pending, .silent, .suspended, .waiting { color: var(--busy); }
        progress { width: 8rem; vertical-align: middle; }
        button { font: inherit; padding: .15rem .8rem; cursor: pointer; }
        #note { position: fixed; bottom: 0; left: 0; right: 0; margin: 0; padding: .6rem 1.5rem; background: canvas; }
        #note:empty { display: none; }
        """

    /// Every text of the system goes into the page as text, never as markup.
    static let script = """
        'use strict';
        const byId = id => document.getElementById(id);
        const cell = (content, className) => {
          const td = document.createElement('td');
          if (content instanceof Node) td.append(content); else td.textContent = content ?? '';
          if (className) td.className = className;
          return td;
        };
        const table = (place, titles, rows, empty) => {
          if (!rows.length) { byId(place).textContent = empty; return; }
          const table = document.createElement('table');
          const head = table.createTHead().insertRow();
          for (const title of titles) { const th = document.createElement('th'); th.textContent = title; head.append(th); }
          const body = table.createTBody();
          for (const row of rows) body.insertRow().append(...row);
          byId(place).replaceChildren(table);
        };
        const get = async path => {
          const answer = await fetch(path);
          if (!answer.ok) throw new Error((await answer.json()).detail);
          return answer.json();
        };
        const bytes = n => n < 1e3 ? n + ' B' : n < 1e6 ? (n / 1e3).toFixed(1) + ' kB' : n < 1e9 ? (n / 1e6).toFixed(1) + ' MB'
          : (n / 1e9).toFixed(1) + ' GB';
        const bar = (done, all) => {
          const box = document.createElement('span');
          const progress = document.createElement('progress');
          progress.max = all || 1; progress.value = done;
          box.append(progress, ` ${done}/${all}`);
          return box;
        };
        const sum = (rows, key) => rows.reduce((total, row) => total + row[key], 0);

        const deploy = async build => {
          const reason = prompt(`Deploy ${build.name} to every region. Why?`);
          if (!reason) return;
          const answer = await fetch('/v1/deployments', {
            method: 'POST',
            headers: {
              'Content-Type': 'application/json', 'Idempotency-Key': crypto.randomUUID?.() ?? String(Date.now()),
              'Drover-Actor': 'person:console' },
            body: JSON.stringify({ app: build.app, build: build.id, reason }) });
          const body = await answer.json();
          byId('note').textContent = answer.ok ? `deployment ${body.deployment} is ${body.status}` : body.detail;
          refresh();
        };
        const deployButton = build => {
          const button = document.createElement('button');
          button.textContent = 'Deploy';
          button.disabled = build.replication !== 'complete';
          button.title = button.disabled ? 'not yet stored in every region' : '';
          button.addEventListener('click', () => deploy(build));
          return button;
        };

        const refresh = async () => {
          const [status, builds, jobs] = await Promise.all(
            [get('/v1/status'), get('/v1/builds?limit=10'), get('/v1/jobs?limit=15')]);
          byId('head').textContent = `sequence ${status.sequence}, epoch ${status.epoch}; ` +
            `${status.jobs.queued} queued, ${status.jobs.running} running, ${status.workers.length} workers`;
          byId('claims').textContent = status.claims_stopped ? `No worker gets a job: ${status.claims_stopped.detail}.` : '';
          table('targets', ['App', 'Scope', 'Revision', 'Build', 'Healthy', 'By', 'Reason'], status.targets.map(t => [
            cell(t.app), cell(t.scope), cell(t.revision), cell(t.build),
            cell(bar(sum(t.regions, 'healthy'), sum(t.regions, 'selected'))), cell(t.actor), cell(t.reason)]),
            'Nothing is deployed yet.');
          table('builds', ['Build', 'Commit', 'Replication', 'Stored in', 'Kept', 'Size', ''], builds.builds.map(b => [
            cell(b.name), cell(b.commit.slice(0, 12)), cell(b.replication, b.replication), cell(b.stored.join(', ')),
            cell(b.retired ? 'retired' : b.kept?.reason), cell(bytes(b.raw_bytes)),
            cell(b.retired ? '' : deployButton(b))]), 'Nothing is built yet.');
          table('jobs', ['Job', 'App', 'Commit', 'Status', 'Stage', 'Worker', 'Created'], jobs.jobs.map(j => [
            cell(j.id), cell(j.app), cell(j.commit.slice(0, 12)), cell(j.status, j.status),
            cell(j.reason ?? j.stage), cell(j.worker), cell(j.created_at)]), 'No jobs yet.');
          table('regions', ['Region', 'Status', 'Store', 'Apps'], status.regions.map(r => [
            cell(r.name), cell(r.status, r.status), cell(r.store ? `${r.store.percent} % full` : ''),
            cell(r.levels.map(l => `${l.app} ${l.healthy}/${l.selected}`).join(', '))]), 'No region has joined yet.');
        };
        const loop = async () => {
          try { await refresh(); if (byId('note').dataset.cut) { byId('note').textContent = ''; delete byId('note').dataset.cut; } }
          catch (error) { byId('note').textContent = `cut off: ${error.message}`; byId('note').dataset.cut = 'yes'; }
          setTimeout(loop, 2000);
        };
        loop();
        """
}
