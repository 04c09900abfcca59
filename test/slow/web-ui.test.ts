import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import { rigSpec, startOwnRig, untilPhase } from "../support/rig.ts";
import type { OwnRig } from "../support/rig.ts";

/** Where distributions put it; PDJOB_CHROMIUM names another one. */
const browsers = [
  process.env["PDJOB_CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
];
const quiet = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const pictured = { width: 1500, height: 1750 };
/** Rows that are out of view are not in the page, and a job's first steps soon are. */
const readHeight = 6_000;
const pictures = fileURLToPath(new URL("../../docs/", import.meta.url));
const executablePath = browsers.find((path) => path !== undefined && existsSync(path));
if (executablePath === undefined)
  process.stdout.write(
    "The Web UI is not looked at: no Chromium was found. Install it (Debian: apt-get install chromium), or set PDJOB_CHROMIUM.\n",
  );
let rig: OwnRig | undefined;

afterAll(async () => rig?.stop());

const shown = "the Web UI's page of a READY job shows the steps by name and the details block";
test.skipIf(executablePath === undefined)(shown, async () => {
  rig = await startOwnRig();
  const spec = await rigSpec(rig, "shown");
  await rig.client.start(spec);
  await untilPhase(rig.client, "shown", "READY");
  const browser = await chromium.launch({ executablePath: executablePath ?? "", args: quiet });
  try {
    const page = await browser.newPage({ viewport: { ...pictured, height: readHeight } });
    await page.goto(`${rig.stack.uiUrl}/namespaces/default/workflows/pdjob-shown`, {
      waitUntil: "domcontentloaded",
    });
    // Steps come one by one as the page reads the history.
    for (const name of ["reservePlacementGroup", "startPrefill", "startDecode", "waitHealthy"])
      await expect
        .poll(() => page.locator("body").innerText(), { timeout: 60_000 })
        .toContain(name);
    await page.setViewportSize(pictured);
    await page.screenshot({ path: `${pictures}web-ui.png` });
    await page.getByText("User Metadata").first().click();
    // The UI renders the block's markdown in a frame of its own.
    await page
      .frameLocator("#user-metadata-current-details")
      .getByText("shown: READY")
      .first()
      .waitFor({ timeout: 30_000 });
    await page.screenshot({ path: `${pictures}web-ui-details.png` });
  } finally {
    await browser.close();
  }
  await rig.client.stop("shown");
  await rig.client.result("shown");
});
