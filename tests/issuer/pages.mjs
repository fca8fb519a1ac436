// The pages a person sees: enter the code, confirm it, sign in, consent, done. Plain forms without
// scripts or outside resources, so that approve.mjs can post them and a demo needs no network.
// `data-outcome` on the body tells a program how it ended.
import { requestIs } from './request_body.mjs';
import { scopesFor } from './scopes.mjs';

export const interactionUrl = (ctx, interaction) => `/interaction/${interaction.uid}`;

/** The three pages of the device flow; `form` comes from the provider and has no button. */
export const devicePages = {
  async userCodeInputSource(ctx, form, out, error) {
    if (error?.name === 'AbortedError') return show(ctx, denied());
    const problem = error ? `<p class="problem">${problemOf(error)}</p>` : '';
    return show(ctx, page('Enter the code', `${problem}<p>The code that your terminal shows.</p>
      ${form}<button form="op.deviceInputForm">Continue</button>`));
  },
  async userCodeConfirmSource(ctx, form, client, deviceInfo, userCode) {
    return show(ctx, page('Is this your code?', `<p class="code">${escape(userCode)}</p>
      <p><b>${escape(client.clientName || client.clientId)}</b> asks for access. Go on only if
      your own terminal shows this code now.</p>
      ${form}<button form="op.deviceConfirmForm">Yes, continue</button>
      <button form="op.deviceConfirmForm" name="abort" value="yes">Deny</button>`));
  },
  async successSource(ctx) {
    return show(ctx, page('Done', '<p>Go back to your terminal.</p>', 'approved'));
  },
};

/** Middleware: sign-in and consent, and the denial that INDIGO IAM keeps to itself. */
export function servePages({ provider, accounts, config, deviceVerificationPath }) {
  return async (ctx, next) => {
    if (requestIs(ctx, 'POST', deviceVerificationPath) && config.denial === 'silent' && ctx.req.body?.abort) {
      return show(ctx, denied());
    }
    if (!ctx.path.startsWith('/interaction/')) return next();
    const interaction = await currentInteraction(provider, ctx);
    if (!interaction) return show(ctx, page('This page is too old', '<p>Start again.</p>'), 400);
    const form = ctx.method === 'POST' ? ctx.req.body || {} : {};
    if (form.abort) return deny(provider, config, ctx);
    if (interaction.prompt.name === 'login') return signIn({ provider, accounts, ctx, form });
    return consent({ provider, accounts, ctx, form, interaction });
  };
}

async function currentInteraction(provider, ctx) {
  return provider.interactionDetails(ctx.req, ctx.res).catch(() => undefined);
}

async function deny(provider, config, ctx) {
  if (config.denial === 'silent') return show(ctx, denied());
  const refusal = { error: 'access_denied', error_description: 'the user denied the request' };
  return goOn(provider, ctx, refusal, { mergeWithLastSubmission: false });
}

async function signIn({ provider, accounts, ctx, form }) {
  if (form.login === undefined) return show(ctx, signInPage(''));
  const account = accounts.authenticate(form.login, form.password);
  if (!account) return show(ctx, signInPage('<p class="problem">Wrong user name or password.</p>'), 401);
  const result = { login: { accountId: account.subject } };
  return goOn(provider, ctx, result, { mergeWithLastSubmission: false });
}

async function consent({ provider, accounts, ctx, form, interaction }) {
  if (form.prompt !== 'consent') return show(ctx, consentPage(interaction));
  const grantId = await saveConsent(provider, accounts, interaction);
  return goOn(provider, ctx, { consent: { grantId } }, { mergeWithLastSubmission: true });
}

async function saveConsent(provider, accounts, interaction) {
  const { params, session, prompt: { details } } = interaction;
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  if (details.missingOIDCScope) grant.addOIDCScope(details.missingOIDCScope);
  if (details.missingOIDCClaims) grant.addOIDCClaims(details.missingOIDCClaims);
  for (const [resource, scopes] of Object.entries(details.missingResourceScopes || {})) {
    const allowed = scopesFor(accounts.withSubject(session.accountId), scopes);
    grant.addResourceScope(resource, allowed);
    // Without a word, as INDIGO IAM does.
    grant.rejectResourceScope(resource, scopes.filter((scope) => !allowed.includes(scope)));
  }
  return grant.save();
}

async function goOn(provider, ctx, result, options) {
  ctx.redirect(await provider.interactionResult(ctx.req, ctx.res, result, options));
  ctx.status = 303;
}

function signInPage(problem) {
  return page('Sign in', `${problem}<form method="post" autocomplete="off">
    <input type="hidden" name="prompt" value="login">
    <label>User name <input name="login" required autofocus></label>
    <label>Password <input name="password" type="password" required></label>
    <button>Sign in</button></form>${denyForm()}`);
}

function consentPage(interaction) {
  const scopes = String(interaction.params.scope || '').split(' ').filter(Boolean);
  const list = scopes.map((scope) => `<li>${escape(scope)}</li>`).join('');
  return page('Allow access?', `<p>It asks for:</p><ul>${list}</ul><form method="post">
    <input type="hidden" name="prompt" value="consent"><button>Allow</button></form>${denyForm()}`);
}

function denyForm() {
  return '<form method="post"><input type="hidden" name="abort" value="yes"><button>Deny</button></form>';
}

function denied() {
  return page('Denied', '<p>Nothing was given away. You can close this page.</p>', 'denied');
}

function problemOf(error) {
  const problems = {
    NotFoundError: 'There is no such code.',
    ExpiredError: 'This code has expired.',
    AlreadyUsedError: 'This code was used already.',
    NoCodeError: 'Please enter a code.',
  };
  return problems[error.name] || escape(error.error_description || error.message);
}

function show(ctx, html, status) {
  if (status) ctx.status = status;
  ctx.type = 'html';
  ctx.set('cache-control', 'no-store');
  ctx.body = html;
}

function page(title, body, outcome = 'none') {
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>${title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>
body { font: 16px/1.5 sans-serif; max-width: 26rem; margin: 3rem auto; padding: 0 1rem; }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
input, button { padding: .5rem; margin: .3rem 0 .8rem; }
input[type=hidden] { display: none; } .code { font: 2rem monospace; text-align: center; }
.problem { color: #a00; } footer { color: #777; font-size: .8rem; margin-top: 3rem; }
</style></head><body data-outcome="${outcome}"><h1>${title}</h1>${body}
<footer>iamd test issuer: no real accounts here</footer></body></html>`;
}

function escape(text) {
  const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return String(text).replace(/[&<>"']/g, (character) => entities[character]);
}
