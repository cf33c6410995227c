/** `npm run docs`: build the site into `docs/site`, and fail where a page or a link is not as it should be. */
import { buildSite } from "./site.ts";

try {
  const { pages } = await buildSite();
  console.log(`docs/site: ${pages} pages`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}
