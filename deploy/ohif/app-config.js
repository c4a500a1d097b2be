// OHIF beside a DICOMweb server: nginx.conf serves both under one address, so the paths need no host.

// Of the series that a segmentation cites, OHIF 3.13.2 takes the one that the server listed first for its grid; what lies
// on another is then not shown. Ours cite first the series whose grid they have, so let OHIF see no other: it takes that
// one, or waits for it.
const seriesCitedFirst = {
  id: 'series-cited-first',
  preRegistration({ servicesManager }) {
    const { displaySetService } = servicesManager.services;
    const find = displaySetService.getDisplaySetsForReferences;
    displaySetService.getDisplaySetsForReferences = references => find([references].flat().slice(0, 1));
  },
};

window.config = {
  routerBasename: null,
  extensions: [seriesCitedFirst],
  modes: [],
  showStudyList: true,
  showWarningMessageForCrossOrigin: false,
  showCPUFallbackMessage: false,
  investigationalUseDialog: { option: 'never' },
  defaultDataSourceName: 'dicomweb',
  dataSources: [
    {
      namespace: '@ohif/extension-default.dataSourcesModule.dicomweb',
      sourceName: 'dicomweb',
      configuration: {
        friendlyName: 'DICOMweb',
        name: 'dicomweb',
        qidoRoot: '/dicom-web',
        wadoRoot: '/dicom-web',
        imageRendering: 'wadors',
        thumbnailRendering: 'wadors',
        qidoSupportsIncludeField: true,
        supportsFuzzyMatching: false,
        supportsWildcard: true,
        omitQuotationForMultipartRequest: true,
        bulkDataURI: { enabled: true, relativeResolution: 'studies' },
      },
    },
  ],
};
