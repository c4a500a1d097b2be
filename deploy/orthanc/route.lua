-- Send the images of a study on, once it has been quiet for a while (StableAge).
-- OnStableStudy fires again when results arrive in the same study: only images go, and only once.
local IMAGES = { CT = true, MR = true, PT = true }
local WAYS = {
  dimse = '/modalities/entrust/store',
  dicomweb = '/dicom-web/servers/entrust/stow',
}

function OnStableStudy(study, tags, metadata)
  if metadata['entrust-sent'] ~= nil then return end
  local series = {}
  for _, id in ipairs(ParseJson(RestApiGet('/studies/' .. study))['Series']) do
    if IMAGES[ParseJson(RestApiGet('/series/' .. id))['MainDicomTags']['Modality']] then
      table.insert(series, '"' .. id .. '"')
    end
  end
  if #series == 0 then return end
  RestApiPost(WAYS[ROUTE], '{"Resources": [' .. table.concat(series, ',') .. '], "Synchronous": false}')
  RestApiPut('/studies/' .. study .. '/metadata/entrust-sent', ROUTE)
end
