// Files chosen or dropped, folders with all that is in them, sent to the program in one request.
window.lab = {
  async entries(items) {
    const files = [];
    const walk = async (entry) => {
      if (entry.isFile) {
        files.push(await new Promise((good, bad) => entry.file(good, bad)));
      } else if (entry.isDirectory) {
        const reader = entry.createReader();
        for (;;) {
          const some = await new Promise((good, bad) => reader.readEntries(good, bad));
          if (!some.length) break;
          for (const one of some) await walk(one);
        }
      }
    };
    for (const entry of [...items].map((item) => item.webkitGetAsEntry()).filter(Boolean)) await walk(entry);
    return files;
  },
  async send(files, url, most, several, tell) {
    files = several ? files : files.slice(0, 1);
    if (!files.length) return;
    if (files.reduce((sum, file) => sum + file.size, 0) > most) {
      tell(`These files have more than ${most >> 20} MB together: choose smaller or fewer ones.`);
      return;
    }
    const form = new FormData();
    files.forEach((file, number) => form.append(`file${number}`, file, file.name));
    tell("");
    try {
      const answer = await fetch(url, { method: "POST", body: form });
      if (!answer.ok) tell(`The files were not taken: ${(await answer.text()).slice(0, 200)}`);
    } catch (error) {
      tell(`The files could not be sent: ${error.message}`);
    }
  },
};
