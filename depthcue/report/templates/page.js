"use strict";
// Galleries whose masks are thresholded and coloured here, pictures that open to their actual size, films, printing.
(() => {
  const colours = JSON.parse(document.getElementById("colours").textContent);
  const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%`;

  // A decoded picture, and the grey levels of one that is a map; each address is worked on once.
  const pictures = new Map();
  const picture = (address) => {
    if (!pictures.has(address)) {
      const image = new Image();
      image.src = address;
      pictures.set(address, image.decode().then(() => image));
    }
    return pictures.get(address);
  };
  const maps = new Map();
  const levels = (address) => {
    if (!maps.has(address)) {
      maps.set(address, picture(address).then((image) => {
        const { naturalWidth: width, naturalHeight: height } = image;
        const context = canvas(width, height);
        context.drawImage(image, 0, 0);
        const pixels = context.getImageData(0, 0, width, height).data;
        const values = Uint8Array.from({ length: width * height }, (_, position) => pixels[4 * position]);
        return { width, height, values, above: shares(values) };
      }));
    }
    return maps.get(address);
  };

  const canvas = (width, height) => {
    const element = document.createElement("canvas");
    element.width = width;
    element.height = height;
    return element.getContext("2d", { willReadFrequently: true });
  };

  // The share of pixels above each of the 256 levels.
  const shares = (values) => {
    const counts = new Float64Array(256);
    for (const value of values) counts[value] += 1;
    const above = new Float64Array(256);
    for (let level = 254; level >= 0; level -= 1) above[level] = above[level + 1] + counts[level + 1] / values.length;
    return above;
  };

  // A map as a drawing of its own size: red carries the level, cut to 0 and 255 where there is a cut.
  const drawn = (map, cut) => {
    const context = canvas(map.width, map.height);
    const image = context.createImageData(map.width, map.height);
    map.values.forEach((value, position) => {
      image.data[4 * position] = cut === null ? value : 255 * (value > cut);
      image.data[4 * position + 3] = 255;
    });
    context.putImageData(image, 0, 0);
    return context.canvas;
  };

  // Draw a map over the whole of a canvas; binary pixels keep their corners, soft ones are smoothed.
  const stretch = (context, map, cut) => {
    context.imageSmoothingEnabled = cut === null;
    context.drawImage(drawn(map, cut), 0, 0, context.canvas.width, context.canvas.height);
    const image = context.getImageData(0, 0, context.canvas.width, context.canvas.height);
    context.imageSmoothingEnabled = true;
    return image;
  };

  const colourMap = (context, map, cut) => {
    const image = stretch(context, map, cut);
    for (let at = 0; at < image.data.length; at += 4) image.data.set(colours.mask[image.data[at]], at);
    context.putImageData(image, 0, 0);
  };

  const overlay = (context, under, map, cut) => {
    const { width, height } = context.canvas;
    const mask = stretch(context, map, cut);
    context.drawImage(under, 0, 0, width, height);
    const image = context.getImageData(0, 0, width, height);
    for (let at = 0; at < image.data.length; at += 4) {
      const light = Math.round(0.299 * image.data[at] + 0.587 * image.data[at + 1] + 0.114 * image.data[at + 2]);
      const share = mask.data[at] / 255;
      for (let channel = 0; channel < 3; channel += 1) {
        image.data[at + channel] = Math.round(
          share * colours.kept[light][channel] + (1 - share) * colours.hidden[light][channel]);
      }
    }
    context.putImageData(image, 0, 0);
  };

  // The level above which a map has most nearly as many pixels as the share asks for.
  const levelFor = (map, share) => {
    let best = 0;
    map.above.forEach((above, level) => {
      if (Math.abs(above - share) < Math.abs(map.above[best] - share)) best = level;
    });
    return best;
  };

  // Each view draws into a context and returns its caption.
  const fill = async (context, address) => {
    context.drawImage(await picture(address), 0, 0, context.canvas.width, context.canvas.height);
  };
  const views = {
    picture: async (context, { still }) => {
      await fill(context, still.picture);
      return "the picture";
    },
    edges: async (context, { still, step, cut }) => {
      const [edges, mask] = await Promise.all([levels(still.edges), levels(step.mask)]);
      const edgeCut = cut === null ? null : levelFor(edges, mask.above[Math.floor(cut)]);
      colourMap(context, edges, edgeCut);
      return edgeCut === null ? "Sobel edges: where the picture's light changes"
        : `the strongest edges, about as many as the mask keeps: ${percent(edges.above[edgeCut])} of the pixels`;
    },
    mask: async (context, { step, cut, threshold }) => {
      colourMap(context, await levels(step.mask), cut);
      return cut === null ? "the soft mask M: black is hidden, pale is kept" : `the binary mask: M > ${threshold}`;
    },
    overlay: async (context, { still, step, cut }) => {
      const [under, mask] = await Promise.all([picture(still.picture), levels(step.mask)]);
      overlay(context, under, mask, cut);
      return "the picture under the mask: what is kept glows, what is hidden is dark";
    },
    depth: async (context, { still }) => {
      await fill(context, still.depth);
      return "the depth that the net sees in the whole picture";
    },
    seen: async (context, { step, cut }) => {
      await fill(context, step.depth);
      return "the depth that the net sees through this soft mask" +
        (cut === null ? "" : " (not through the binary one: for that the net would have to run)");
    },
    depth_truth: async (context, { still }) => {
      await fill(context, still.depth_truth);
      return "the true depth; grey where it is not known";
    },
  };
  const ofDepth = new Set(["depth", "seen", "depth_truth"]);

  // Say a slider's value beside it, and to those who cannot see it.
  const name = (slider, value) => {
    slider.setAttribute("aria-valuetext", value);
    slider.labels[0].textContent = value;
  };

  const openGallery = (gallery) => {
    const { stills } = JSON.parse(gallery.querySelector("script").textContent);
    const [setting, threshold, readout, shelf] = [".setting", ".threshold", ".readout", ".stills"]
      .map((name) => gallery.querySelector(name));
    const panes = [...gallery.querySelectorAll(".pane")];
    let still = null;
    let latest = 0;

    const show = async () => {
      const turn = latest += 1;
      const step = still.steps[Number(setting.value)];
      const value = Number(threshold.value);
      const state = { still, step, threshold: value, cut: value > 0 ? 255 * value : null };
      const [under, mask] = await Promise.all([picture(still.picture), levels(step.mask)]);
      const shown = await Promise.all(panes.map(async (pane) => {
        const view = pane.querySelector("input:checked").value;
        const context = canvas(under.naturalWidth, under.naturalHeight);
        return { pane, view, context, caption: await views[view](context, state) };
      }));
      if (turn !== latest) return; // a slider has moved on meanwhile
      gallery.classList.toggle("wide", under.naturalWidth > 2 * under.naturalHeight);
      for (const { pane, view, context, caption } of shown) {
        const screen = pane.querySelector("canvas");
        screen.width = under.naturalWidth;
        screen.height = under.naturalHeight;
        screen.getContext("2d").drawImage(context.canvas, 0, 0);
        screen.setAttribute("aria-label", `${still.name}: ${caption}`);
        pane.querySelector("figcaption").textContent = caption;
        const legend = pane.querySelector(".legend");
        legend.hidden = !ofDepth.has(view);
        legend.querySelector(".near").textContent = `${still.near_m.toFixed(1)} m`;
        legend.querySelector(".far").textContent = `${still.far_m.toFixed(1)} m`;
      }
      const binary = state.cut === null ? "" :
        ` M > ${value} on ${percent(mask.above[Math.floor(state.cut)])} of the pixels.`;
      readout.textContent = `${step.setting}: the mean of M is ${percent(step.mean)}; M is above one half on ` +
        `${percent(step.above_half)} of the pixels.${binary} The depth seen through the soft M is off by ` +
        `${step.difference_m.toFixed(2)} m (RMSE) from the depth seen in the whole picture.`;
      name(setting, step.setting);
      name(threshold, state.cut === null ? "soft mask" : `M > ${value}`);
    };

    const dialOf = ({ steps }) => steps.map((step) => step.setting).join();
    const choose = (index) => {
      const dial = still && dialOf(still);
      still = stills[index];
      buttons.forEach((button, position) => button.setAttribute("aria-pressed", String(position === index)));
      setting.max = still.steps.length - 1;
      if (dial !== dialOf(still)) setting.value = still.start; // another net's steps mean other things
      setting.closest(".dial").hidden = still.steps.length < 2;
      for (const input of gallery.querySelectorAll("input[value=depth_truth]")) {
        input.parentElement.hidden = !still.depth_truth;
        if (input.checked && !still.depth_truth) input.closest("fieldset").querySelector("[value=depth]").checked = true;
      }
      // ready before they are asked for, so that the slider turns without a wait
      still.steps.forEach((step) => { levels(step.mask); picture(step.depth); });
      show();
    };

    const buttons = stills.map(({ name, label: short, picture: address }, index) => {
      const button = document.createElement("button");
      const thumb = new Image();
      thumb.src = address;
      thumb.alt = "";
      const label = document.createElement("span");
      label.textContent = short;
      button.type = "button";
      button.title = name;
      button.append(thumb, label);
      button.addEventListener("click", () => choose(index));
      return button;
    });
    shelf.append(...buttons);
    gallery.addEventListener("input", show);
    choose(0);
  };
  document.querySelectorAll(".gallery").forEach(openGallery);

  for (const zoom of document.querySelectorAll(".zoom")) {
    zoom.addEventListener("click", () => {
      zoom.setAttribute("aria-pressed", String(zoom.getAttribute("aria-pressed") !== "true"));
    });
  }

  // Where there is room, only long tables are folded; a phone shows the first of everything, and a reader opens the rest.
  if (matchMedia("(min-width: 44rem)").matches) {
    for (const details of document.querySelectorAll("details[data-wide]")) details.open = true;
  }

  // Say of a table that it goes on at the side, as long as it does.
  for (const hint of document.querySelectorAll(".hint")) {
    const table = hint.nextElementSibling;
    const look = () => {
      hint.hidden = table.scrollWidth <= table.clientWidth + 1;
      table.classList.toggle("at-end", table.scrollLeft + table.clientWidth >= table.scrollWidth - 2);
    };
    new ResizeObserver(look).observe(table);
    table.addEventListener("scroll", look, { passive: true });
  }

  // Some phones play no film from a data address, but all play one from memory.
  for (const film of document.querySelectorAll("video")) {
    fetch(film.src).then((answer) => answer.blob()).then((blob) => { film.src = URL.createObjectURL(blob); })
      .catch(() => {}); // the data address stays
  }

  // What is folded away belongs on paper too.
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not(.origin)")) details.open = true;
  });
})();
