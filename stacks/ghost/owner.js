// Makes Ghost's owner as soon as it answers: it has no variable for it, and makes whoever comes first
// its owner. Ghost is healthy, and Traefik leads to it, only when it has one.
const fs = require('fs');
const http = require('http');

const PATH = '/ghost/api/admin/authentication/setup/';

function ask(method, body) {
  const headers = {
    'Content-Type': 'application/json',
    'X-Forwarded-Proto': 'https',
    Host: process.env.SITE_DOMAIN,
  };
  return new Promise((resolve, reject) => {
    const options = { host: '127.0.0.1', port: 2368, path: PATH, method, headers, timeout: 60000 };
    const request = http.request(options, (answer) => {
      let text = '';
      answer.on('data', (part) => { text += part; });
      answer.on('end', () => resolve({ status: answer.statusCode, text }));
    });
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', reject);
    request.end(body && JSON.stringify(body));
  });
}

// Each answer has an id of its own: its sentence is told once.
function why(text) {
  try {
    return JSON.parse(text).errors[0].message;
  } catch {
    return text.slice(0, 200);
  }
}

async function makeOwner() {
  const { status, text } = await ask('GET');
  if (status !== 200) throw new Error(`answers ${status}`);
  if (JSON.parse(text).setup[0].status) return;
  const owner = {
    name: process.env.ADMIN_NAME,
    email: process.env.ADMIN_EMAIL,
    password: fs.readFileSync('/run/secrets/admin_password', 'utf8').trim(),
    blogTitle: process.env.SITE_TITLE || process.env.SITE_DOMAIN,
  };
  const made = await ask('POST', { setup: [owner] });
  if (made.status !== 201) throw new Error(`the owner is not made: ${made.status} ${why(made.text)}`);
  console.error('Ghost has its owner');
}

(async () => {
  let told = '';
  for (;;) {
    try {
      await makeOwner();
      return;
    } catch (error) {
      if (error.message !== told) console.error(`Ghost's owner: ${error.message}`);
      told = error.message;
    }
    await new Promise((resolve) => setTimeout(resolve, 2000));
  }
})();
