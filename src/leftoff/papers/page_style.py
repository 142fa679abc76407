"""How a report looks: in light and dark, on a desk and on a phone."""

from leftoff.papers.charts import COLOURS

STYLE = """
:root { color-scheme: light dark; --ground: #fff; --text: #1b1f24; --soft: #57606a; --line: #d7dce1; --counted: #d0d7de;
  --warn: #a40e26; --link: #0550ae; --s0: #0072b2; --s1: #e69f00; --s2: #009e73; --s3: #cc79a7; --s4: #d55e00;
  --s5: #56b4e9; --s6: #8a7d00; --s7: #7a7f85; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #0f1318; --text: #e6e9ec; --soft: #a0a8b0; --line: #2b323a; --counted: #3a434d; --warn: #ff8f94;
    --link: #79b8ff; --s0: #4aa3dd; --s6: #d9cb3c; --s7: #8f969d; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 48rem; background: var(--ground); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; margin: .5rem 0 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
a { color: var(--link); } .soft { color: var(--soft); } .warn { color: var(--warn); font-weight: 600; }
.sums { display: grid; grid-template-columns: repeat(auto-fit, minmax(6.5rem, 1fr)); gap: .5rem; margin: 1rem 0;
  padding: 0; list-style: none; }
.sums li { border: 1px solid var(--line); border-radius: .4rem; padding: .4rem .7rem; }
.sums b { display: block; font-size: 1.4rem; font-variant-numeric: tabular-nums; }
.table { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .5rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; min-width: 8rem; } thead th { color: var(--soft); }
td { white-space: nowrap; } tbody th { font-weight: 600; overflow-wrap: anywhere; }
svg { display: block; width: 100%; height: auto; font-size: 12px; } svg text { fill: var(--text); }
svg .mid { text-anchor: middle; } svg .end { text-anchor: end; } svg .grid { stroke: var(--line); }
svg .counted { fill: var(--counted); } figure { margin: 0; } .narrow { display: none; }
@media (max-width: 560px) { .wide { display: none; } .narrow { display: block; }
  table { font-size: .8rem; } th, td { padding: .3rem .25rem; } th:first-child { min-width: 5rem; } }
.key { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .5rem 0; padding: 0; list-style: none; }
.key li { font-size: .9rem; } .key svg { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem; }
.papers { padding: 0; list-style: none; } .papers li { padding: .6rem 0; border-bottom: 1px solid var(--line); }
""" + "".join(f".s{number} {{ fill: var(--s{number}); }}\n" for number in range(COLOURS))
